// Package sandbox turns what a person calls a sandbox into where its SSH
// server is reached, and speaks to the sandbox's provider about its life.
//
// Parse takes the word from the command line and gives a Target, whose
// Provider answers three questions, each with at most two HTTP requests:
// where is it now (Endpoint), is it running (State), and may it run on
// (Resume, KeepAlive). An E2B sandbox id has a provider behind it that uses
// E2B's API where an API key is at hand; a URL is its own fixed endpoint.
//
//	target, err := sandbox.Parse("abc123:/srv", sandbox.Options{})
//	endpoint, err := target.Provider.Endpoint(ctx) // wss://8081-abc123.e2b.app/
//
// The API's answers are not trusted: they are bounded in size and time,
// decoded strictly, and what they name (hosts, tokens) is checked before it is
// used. Redirects are followed within one origin only, so that no secret
// reaches another host. Proxies come from the environment (HTTP_PROXY,
// HTTPS_PROXY, NO_PROXY).
//
// Secrets (the API key, the traffic token) are of type Secret, which prints as
// a placeholder whatever it is printed with. A sandbox's id is in effect a
// credential, too: errors of this package leave it out.
//
// Nothing here knows of SSH or of files.
package sandbox
