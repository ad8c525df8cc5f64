package fs

// What a process that serves no mount may ask about those of others.

// Detach takes a mount that nobody serves any more, or that shall be served no
// longer, out of the mount table, whatever uses it. Programs that wait for it
// get an error. Errors are *MountError.
func Detach(point string) error {
	d := detached(point)
	return d.detach(true)
}
