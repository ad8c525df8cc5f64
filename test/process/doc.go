// Package process runs programs beside tests and benchmarks so that they never
// outlive them, and looks at processes through /proc.
//
// A Process is in a process group of its own; Kill ends it with all its
// descendants, those that left the group included. On Linux it also dies with
// this process, so that a test that times out or is killed leaves nothing.
package process
