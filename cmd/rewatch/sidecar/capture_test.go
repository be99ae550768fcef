package sidecar

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"rewatch/dialogs"
	"rewatch/dialogs/recovery/ladder"
	"rewatch/policy"
	"rewatch/proxy/capture"
	"rewatch/proxy/hep"
)

const capturedRaw = "NOTIFY sip:alice@10.0.0.9 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK17\r\nFrom: <sip:bob@ims.example>;tag=s\r\n" +
	"To: <sip:alice@ims.example>;tag=a\r\nCall-ID: c1\r\nCSeq: 7 NOTIFY\r\nContent-Length: 4\r\n\r\nopen"

// TestCaptureOfARecovery: a recovery has the messages of its user in its time, with their
// Call-ID, CSeq and branch, and as a file.
func TestCaptureOfARecovery(t *testing.T) {
	p := builtProcess(t)
	b := backend{p}
	if _, ok := b.Messages("1"); ok || b.Captures() {
		t.Error("messages, though none are kept")
	}
	p.recorder = capture.New(1 << 20)
	server, here := netip.MustParseAddrPort("10.0.0.2:5070"), netip.MustParseAddrPort("10.0.0.1:5062")
	p.tap()("udp", server, here, []byte(capturedRaw))
	p.recorder.Record("udp", server, here, []byte(strings.ReplaceAll(capturedRaw, "alice", "carol")))
	now := time.Now()
	sub := policy.Broken{Event: "presence", Since: now}
	p.engine.Ladders().Keep("sip:alice@ims.example", sub, ladder.Kept{NOTIFYs: 1, Since: now}, dialogs.Step{At: now, What: "NOTIFY"})
	id := p.engine.Recoveries()[0].ID
	list, ok := b.Messages(id)
	want := sipMessage{
		Transport: "udp", From: "10.0.0.2:5070", To: "10.0.0.1:5062", Start: "NOTIFY sip:alice@10.0.0.9 SIP/2.0",
		CallID: "c1", CSeq: "7 NOTIFY", Branch: "z9hG4bK17", Length: len(capturedRaw),
	}
	if got, _ := list.([]sipMessage); !ok || len(got) != 1 {
		t.Fatalf("%+v, %v", list, ok)
	} else if want.At = got[0].At; got[0] != want {
		t.Errorf("%+v", got[0])
	}
	file, ok := b.Pcap(id)
	if !ok {
		t.Fatal("no file")
	}
	reader, err := pcapgo.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	data, _, err := reader.ReadPacketData()
	if err != nil {
		t.Fatal(err)
	}
	datagram, _ := gopacket.NewPacket(data, reader.LinkType(), gopacket.Default).Layer(layers.LayerTypeUDP).(*layers.UDP)
	if datagram == nil || string(datagram.Payload) != capturedRaw {
		t.Errorf("%v", datagram)
	}
	if _, ok := b.Pcap("no such"); ok {
		t.Error("a file of a recovery that is not known")
	}
	at := now.Add(-time.Hour) // of a recovery that was over before
	p.engine.Ladders().Left("sip:alice@ims.example", at, ladder.ResultDelivered, ladder.Kept{})
	if list, _ := b.Messages(id); len(list.([]sipMessage)) != 0 {
		t.Errorf("%+v", list)
	}
}

// TestTap shows what passes to whoever is there.
func TestTap(t *testing.T) {
	p := &process{}
	if p.tap() != nil {
		t.Error("nobody is there")
	}
	p.recorder = capture.New(1 << 20)
	p.mirror = hep.New(hep.Config{Buffers: 4})
	here := netip.MustParseAddrPort("10.0.0.1:5062")
	p.tap()("udp", here, here, []byte(capturedRaw))
	p.tap()("udp", here, here, []byte(capturedRaw))
	if n := len(p.recorder.Of("sip:alice@ims.example", time.Time{}, time.Now())); n != 2 {
		t.Error(n)
	}
}
