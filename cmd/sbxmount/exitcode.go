package main

// exitCode is what the process ends with. README.md has the same table; a test
// compares the two.
type exitCode int

// The exit codes. Numbers are promises to scripts: they never change.
const (
	exitOK           exitCode = 0
	exitFailed       exitCode = 1
	exitUsage        exitCode = 2
	exitNotFound     exitCode = 3
	exitPortClosed   exitCode = 4
	exitAuth         exitCode = 5
	exitHostKey      exitCode = 6
	exitNetwork      exitCode = 7
	exitFUSE         exitCode = 8
	exitMountpoint   exitCode = 9
	exitNotDelivered exitCode = 10
	exitRemote       exitCode = 11
	exitForced       exitCode = 12
	exitInterrupted  exitCode = 130
)

// exitMeanings is the table in the order of its numbers.
var exitMeanings = []struct {
	code    exitCode
	meaning string
}{
	{exitOK, "done"},
	{exitFailed, "failed for a reason without a number of its own; the message names it"},
	{exitUsage, "usage: an unknown command, flag or option, or a malformed value"},
	{exitNotFound, "sandbox not found, or paused and not to be resumed"},
	{exitPortClosed, "the sandbox runs, but its SSH port is closed"},
	{exitAuth, "authentication: the SSH login or the traffic token was refused"},
	{exitHostKey, "the SSH host key has changed, or is unknown with strict checking"},
	{exitNetwork, "network: no connection, a certificate that is not trusted, or too many requests"},
	{exitFUSE, "FUSE is not usable here"},
	{exitMountpoint, "mount point: not a directory, not empty, in use, or not mounted"},
	{exitNotDelivered, "data was not delivered to the sandbox"},
	{exitRemote, "the sandbox answers, but has no SFTP or not the directory"},
	{exitForced, "a second signal ended it before everything was done; nothing is known to be lost"},
	{exitInterrupted, "interrupted before the mount served"},
}
