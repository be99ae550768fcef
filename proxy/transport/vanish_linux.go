//go:build linux

package transport

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// probesToVanish is how many keep-alives get no answer before a peer is given up: one of them may
// be lost.
const probesToVanish = 2

// giveUpAfter makes the kernel end a connection whose peer acknowledges nothing for d: neither data
// (TCP_USER_TIMEOUT, tcp(7)) nor, if none was sent, the keep-alives. By default the kernel tries for
// a quarter of an hour, and accepts all writes meanwhile.
func giveUpAfter(conn net.Conn, d time.Duration) {
	if secured, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secured.NetConn()
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	pause := d / (probesToVanish + 1)
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: pause, Interval: pause, Count: probesToVanish})
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}
