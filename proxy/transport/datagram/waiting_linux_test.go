package datagram

import (
	"net"
	"testing"
)

// TestWaiting tells of a datagram until it is read.
func TestWaiting(t *testing.T) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	p, err := NewPacket(conn)
	if err != nil {
		t.Fatal(err)
	}
	if p.Waiting() {
		t.Error("nothing was sent")
	}
	if _, err := conn.WriteTo([]byte("x"), conn.LocalAddr()); err != nil { // loopback delivers at once
		t.Fatal(err)
	}
	if !p.Waiting() {
		t.Error("a datagram waits")
	}
	if _, _, err := conn.ReadFrom(make([]byte, 10)); err != nil || p.Waiting() {
		t.Error("it was read", err)
	}
}
