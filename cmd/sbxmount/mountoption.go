package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// optionSummary stands in the help; README explains each.
const optionSummary = "ro, allow_other, default_permissions, nonempty, noexec, idmap=user|none, uid=N, gid=N, umask=OCTAL, and the long flags' names (ttl=5s)"

// A mountOption is one word of -o: those that people know from sshfs and
// fstab.
type mountOption struct {
	name  string
	value bool // takes "=value"
	set   func(c *config, value string) error
}

// nothing is for options that say what holds anyway or that are mount(8)'s
// own business.
func nothing(*config, string) error { return nil }

func setBool(field func(*config) *bool, to bool) func(*config, string) error {
	return func(c *config, _ string) error { *field(c) = to; return nil }
}

func setNumber(field func(*config) **uint32, base int) func(*config, string) error {
	return func(c *config, value string) error {
		n, err := strconv.ParseUint(value, base, 32)
		if err != nil {
			what := "a number"
			if base == 8 {
				what = "an octal number, such as 022"
			}
			return usage("%q is not %s", value, what)
		}
		*field(c) = new(uint32(n))
		return nil
	}
}

// mountOptions are all that are no long flag's name.
var mountOptions = []mountOption{
	{"ro", false, setBool(func(c *config) *bool { return &c.ReadOnly }, true)},
	{"rw", false, setBool(func(c *config) *bool { return &c.ReadOnly }, false)},
	{"allow_other", false, func(c *config, _ string) error {
		c.AllowOther, c.DefaultPermissions = true, true // others are held to the modes
		return nil
	}},
	{"default_permissions", false, setBool(func(c *config) *bool { return &c.DefaultPermissions }, true)},
	{"nonempty", false, setBool(func(c *config) *bool { return &c.NonEmpty }, true)},
	{"noexec", false, setBool(func(c *config) *bool { return &c.NoExec }, true)},
	{"exec", false, setBool(func(c *config) *bool { return &c.NoExec }, false)},
	{"idmap", true, func(c *config, value string) error {
		return oneOf{&c.IDMap, []string{"user", "none"}}.Set(value)
	}},
	{"uid", true, setNumber(func(c *config) **uint32 { return &c.UID }, 10)},
	{"gid", true, setNumber(func(c *config) **uint32 { return &c.GID }, 10)},
	{"umask", true, setNumber(func(c *config) **uint32 { return &c.Umask }, 8)},

	// mount(8) passes these to every file system's helper. Set-id bits and
	// devices stay inert whatever it says.
	{"suid", false, nothing}, {"nosuid", false, nothing}, {"dev", false, nothing}, {"nodev", false, nothing},
	{"defaults", false, nothing}, {"auto", false, nothing}, {"noauto", false, nothing}, {"users", false, nothing},
	{"nouser", false, nothing}, {"nofail", false, nothing}, {"_netdev", false, nothing}, {"reconnect", false, nothing},
	{"atime", false, nothing}, {"noatime", false, nothing}, {"relatime", false, nothing}, {"nodiratime", false, nothing},
	{"async", false, nothing},
}

// notOptions are flags that make no sense in -o.
var notOptions = []string{"option", "help", "foreground"}

// applyOptions sets what -o says. Options with a long flag's name, in either
// spelling (cache_size, cache-size), set that flag.
func applyOptions(c *config, flags *pflag.FlagSet, given []string) error {
	for _, list := range given {
		for _, word := range splitOptions(list) {
			if err := applyOption(c, flags, word); err != nil {
				return err
			}
		}
	}
	return nil
}

func applyOption(c *config, flags *pflag.FlagSet, word string) error {
	name, value, hasValue := strings.Cut(word, "=")
	if name == "" || strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "comment") {
		return nil // x-systemd.automount, x-gvfs-show, ...: others read them in fstab
	}
	for _, o := range mountOptions {
		if o.name != name {
			continue
		}
		if o.value != hasValue {
			return usage("-o %s %s", name, map[bool]string{true: "needs a value: " + name + "=...", false: "takes no value"}[o.value])
		}
		if err := o.set(c, value); err != nil {
			return usage("-o %s: %v", name, err)
		}
		return nil
	}
	return applyFlag(flags, name, value, hasValue)
}

// flagOf is the long flag that an option names.
func flagOf(name string) string {
	if name == "IdentityFile" { // as sshfs has it
		return "identity"
	}
	return strings.ReplaceAll(name, "_", "-")
}

func applyFlag(flags *pflag.FlagSet, name, value string, hasValue bool) error {
	flag := flags.Lookup(flagOf(name))
	if flag == nil || slices.Contains(notOptions, flag.Name) {
		return unknownOption(flags, name)
	}
	if !hasValue {
		if flag.NoOptDefVal == "" {
			return usage("-o %s needs a value: %s=...", name, name)
		}
		value = flag.NoOptDefVal
	}
	if err := flags.Set(flag.Name, value); err != nil {
		return usage("-o %s: %v", name, err)
	}
	return nil
}

func unknownOption(flags *pflag.FlagSet, name string) error {
	var names []string
	for _, o := range mountOptions {
		names = append(names, o.name)
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(notOptions, f.Name) {
			names = append(names, strings.ReplaceAll(f.Name, "-", "_"))
		}
	})
	f := usage("unknown mount option %q", name)
	if near := closest(name, names); near != "" {
		f.Advice = "Did you mean " + near + "? The options are: " + optionSummary + "."
	} else {
		f.Advice = "The options are: " + optionSummary + "."
	}
	return f
}

// splitOptions splits at commas; "\," is a comma in a value.
func splitOptions(list string) []string {
	var words []string
	var word strings.Builder
	for i := 0; i < len(list); i++ {
		switch {
		case list[i] == '\\' && i+1 < len(list) && (list[i+1] == ',' || list[i+1] == '\\'):
			i++
			word.WriteByte(list[i])
		case list[i] == ',':
			words = append(words, word.String())
			word.Reset()
		default:
			word.WriteByte(list[i])
		}
	}
	return append(words, word.String())
}
