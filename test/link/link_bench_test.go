package link

import (
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// BenchmarkThroughput reports MB/s and the machine's CPU seconds for a GB, the
// sender's and the receiver's included: they are in this process, too.
func BenchmarkThroughput(b *testing.B) {
	const size = 256 << 20
	for _, rtt := range []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond} {
		b.Run(fmt.Sprint("rtt=", rtt), func(b *testing.B) {
			data := make([]byte, 1<<20)
			target := server(b, func(c *net.TCPConn) {
				for range size / len(data) {
					if _, err := c.Write(data); err != nil {
						return
					}
				}
			})
			l := start(b, Options{Target: target, RTT: rtt})
			began := cpu(b)
			b.SetBytes(size)
			for b.Loop() {
				conn := dial(b, l)
				buf, total := make([]byte, 1<<20), 0
				for {
					n, err := conn.Read(buf)
					total += n
					if err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
				if total != size {
					b.Fatalf("%d bytes", total)
				}
				conn.Close()
			}
			b.ReportMetric((cpu(b)-began).Seconds()/(float64(b.N)*size/1e9), "cpu-s/GB")
		})
	}
}

func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
