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
	tcp := tcpOf(conn)
	if tcp == nil {
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

// tcpOf is the TCP connection in or below another one, nil if there is none.
func tcpOf(conn net.Conn) *net.TCPConn {
	switch c := conn.(type) {
	case *net.TCPConn:
		return c
	case *direct:
		return c.TCPConn
	case interface{ NetConn() net.Conn }:
		return tcpOf(c.NetConn())
	}
	return nil
}

// standing tells whether the peer's system has acknowledged all that was written to a connection,
// and whether the connection still stands.
func standing(conn net.Conn) (acknowledged, open bool) {
	tcp := tcpOf(conn)
	if tcp == nil {
		return true, true
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false, false
	}
	var info *unix.TCPInfo
	_ = raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if info == nil || err != nil {
		return false, false
	}
	return info.Unacked == 0 && info.Notsent_bytes == 0, info.State != unix.BPF_TCP_CLOSE
}
