package sandbox

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// Info is one sandbox of an account.
type Info struct {
	ID       string
	Alias    string // the template's name
	State    State  // Running or Paused
	Started  time.Time
	Ends     time.Time // when its lifetime is over unless it is kept alive
	Metadata map[string]string
}

// Bounds of a listing that a server can't stretch: 100 is the largest page
// that the API gives, and an account has some thousand sandboxes at most.
const (
	pageSize  = "100"
	maxPages  = 100
	maxItems  = 10_000   // on all of them
	maxListed = 16 << 20 // bytes of all their texts
	listTime  = time.Minute
)

// List returns the account's sandboxes, running and paused, in the API's
// order. It needs an API key. 1 request for each 100 sandboxes.
func List(ctx context.Context, o Options) ([]Info, error) {
	o = o.withDefaults()
	c, err := o.e2b()
	if err != nil {
		return nil, err
	}
	a := newAPI(c, o)
	defer a.rest()
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	var all []Info
	cursor, listed := "", 0
	for range maxPages {
		page, next, err := listPage(ctx, a, cursor)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		for _, i := range page {
			listed += i.size()
		}
		if len(all) > maxItems || listed > maxListed {
			return nil, badList("it is too long")
		}
		if next == "" {
			return all, nil
		}
		if next == cursor {
			break
		}
		cursor = next
	}
	return nil, badList("it has no end")
}

// size is how many bytes i's texts have.
func (i Info) size() int {
	n := len(i.ID) + len(i.Alias)
	for k, v := range i.Metadata {
		n += len(k) + len(v)
	}
	return n
}

func badList(text string) error {
	return &Error{Op: "list", Reason: BadAnswer, Err: errors.New(text)}
}

// listed is one item of the API's answer.
type listed struct {
	SandboxID string            `json:"sandboxID"`
	Alias     string            `json:"alias"`
	State     string            `json:"state"`
	StartedAt time.Time         `json:"startedAt"`
	EndAt     time.Time         `json:"endAt"`
	Metadata  map[string]string `json:"metadata"`
}

func listPage(ctx context.Context, a *api, cursor string) (page []Info, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	q := url.Values{"state": {"running,paused"}, "limit": {pageSize}}
	if cursor != "" {
		q.Set("nextToken", cursor)
	}
	var items []listed
	h, err := a.call(ctx, "list", http.MethodGet, "/v2/sandboxes?"+q.Encode(), nil, &items, http.StatusOK)
	if err != nil {
		return nil, "", err
	}
	for _, it := range items {
		info, err := it.info()
		if err != nil {
			return nil, "", err
		}
		page = append(page, info)
	}
	return page, h.Get("X-Next-Token"), nil
}

// info checks an item: its id goes on to host names and paths.
func (it listed) info() (Info, error) {
	if checkID(it.SandboxID) != nil {
		return Info{}, badList("an id that is none")
	}
	i := Info{
		ID: it.SandboxID, Alias: printable(it.Alias), Started: it.StartedAt, Ends: it.EndAt, Metadata: it.Metadata,
	}
	switch it.State {
	case "running":
		i.State = Running
	case "paused":
		i.State = Paused
	default:
		return Info{}, badList("a state that is neither running nor paused")
	}
	return i, nil
}
