package snmp

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"

	"rewatch/policy/alarm"
)

var (
	raisedAt  = time.Date(2026, 5, 17, 20, 15, 3, 450e6, time.FixedZone("", 7200))
	clearedAt = raisedAt.Add(time.Minute)
)

func example(cleared bool) alarm.Alarm {
	a := alarm.Alarm{
		ID: "17", Name: alarm.WatcherExhausted, Object: "sip:alice@ims.example", EventType: "qualityOfService",
		ProbableCause: "thresholdCrossed", Severity: alarm.Minor, Text: "3 of 3", RaisedAt: raisedAt,
	}
	if cleared {
		a.ClearedAt = &clearedAt
	}
	return a
}

// manager is a UDP socket in the place of an SNMP manager.
func manager(t *testing.T) (net.PacketConn, Config) {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	addr := conn.LocalAddr().(*net.UDPAddr)
	return conn, Config{Host: addr.IP.String(), Port: uint16(addr.Port), Community: "secret", Started: time.Now().Add(-time.Hour)}
}

func receive(t *testing.T, conn net.PacketConn, as *gosnmp.GoSNMP) (*gosnmp.SnmpPacket, net.Addr) {
	t.Helper()
	b := make([]byte, 4096)
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, from, err := conn.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	p, err := as.SnmpDecodePacket(b[:n])
	if err != nil {
		t.Fatal(err)
	}
	return p, from
}

// described shows the variables below rewatchMIB.
func described(p *gosnmp.SnmpPacket) string {
	var b strings.Builder
	for _, v := range p.Variables[2:] {
		value := v.Value
		if octets, ok := value.([]byte); ok {
			value = string(octets)
			if strings.HasSuffix(v.Name, objectRaisedAt) || strings.HasSuffix(v.Name, objectClearedAt) {
				value = fmt.Sprintf("%x", octets)
			}
		}
		fmt.Fprintf(&b, "%s=%v\n", strings.TrimPrefix(v.Name, "."+DefaultOID), value)
	}
	return b.String()
}

const fields = `.1.1.0=17
.1.2.0=watcher-exhausted
.1.3.0=sip:alice@ims.example
.1.4.0=qualityOfService
.1.5.0=thresholdCrossed
.1.6.0=%d
.1.7.0=%s
.1.8.0=07ea0511120f03042b0000
`

func TestTrap(t *testing.T) {
	conn, cfg := manager(t)
	s := New(cfg)
	as := &gosnmp.GoSNMP{Version: gosnmp.Version2c}
	for cleared, want := range map[bool]string{
		false: fmt.Sprintf(fields, 5, "3 of 3"),
		true:  fmt.Sprintf(fields, 1, "The user is back, or was forgiven.") + ".1.9.0=07ea0511121003042b0000\n",
	} {
		if err := s.Deliver(t.Context(), example(cleared)); err != nil {
			t.Fatal(err)
		}
		p, _ := receive(t, conn, as)
		kind := notificationRaised
		if cleared {
			kind = notificationCleared
		}
		if p.PDUType != gosnmp.SNMPv2Trap || p.Community != "secret" || p.Variables[1].Value != "."+DefaultOID+kind {
			t.Errorf("%v of %q: %v", p.PDUType, p.Community, p.Variables[1])
		}
		if up := p.Variables[0].Value.(uint32); up < 360000 || up > 370000 {
			t.Errorf("sysUpTime %d", up)
		}
		if got := described(p); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
}

func TestTrapV3(t *testing.T) {
	for _, priv := range []PrivProtocol{"", "aes", "aes256", "aes256c", "des"} {
		for _, auth := range AuthProtocols() {
			t.Run(string(auth)+" "+string(priv), func(t *testing.T) {
				conn, cfg := manager(t)
				cfg.User = User{Name: "noc", AuthProtocol: auth, AuthKey: "authentic key", PrivProtocol: priv}
				if priv != "" {
					cfg.User.PrivKey = "private key"
				}
				if err := New(cfg).Deliver(t.Context(), example(false)); err != nil {
					t.Fatal(err)
				}
				as := &gosnmp.GoSNMP{}
				cfg.User.EngineID = DefaultEngineID
				if err := cfg.User.apply(as, false, time.Now()); err != nil {
					t.Fatal(err)
				}
				if err := as.SecurityParameters.InitSecurityKeys(); err != nil {
					t.Fatal(err)
				}
				p, _ := receive(t, conn, as)
				if got := described(p); got != fmt.Sprintf(fields, 5, "3 of 3") || p.MsgFlags&gosnmp.Reportable != 0 {
					t.Errorf("flags %v, got\n%s", p.MsgFlags, got)
				}
			})
		}
	}
}

// TestInform: the manager misses the first one and answers the second.
func TestInform(t *testing.T) {
	conn, cfg := manager(t)
	cfg.Inform = true
	done := make(chan error, 1)
	go func() { done <- New(cfg).Deliver(t.Context(), example(false)) }()
	as := &gosnmp.GoSNMP{Version: gosnmp.Version2c}
	receive(t, conn, as)
	p, from := receive(t, conn, as)
	select {
	case err := <-done:
		t.Fatalf("done before the answer: %v", err)
	default:
	}
	if p.PDUType != gosnmp.InformRequest || described(p) != fmt.Sprintf(fields, 5, "3 of 3") {
		t.Errorf("%v\n%s", p.PDUType, described(p))
	}
	p.PDUType, p.Variables = gosnmp.GetResponse, p.Variables[:1]
	b, err := p.MarshalMsg()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.WriteTo(b, from); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestInformWithoutAnswer(t *testing.T) {
	_, cfg := manager(t)
	cfg.Inform = true
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := New(cfg).Deliver(ctx, example(false)); err == nil || alarm.IsPermanent(err) {
		t.Errorf("error %v, want one that is tried again", err)
	}
}

func TestSecretsStayOut(t *testing.T) {
	_, cfg := manager(t)
	cfg.User = User{Name: "noc", AuthProtocol: "sha", AuthKey: "geheim-1", PrivProtocol: "aes", PrivKey: "geheim-2", EngineID: "zz"}
	s := New(cfg)
	err := s.Deliver(t.Context(), example(false))
	if !alarm.IsPermanent(err) || strings.Contains(err.Error()+s.Name(), "geheim") || strings.Contains(err.Error()+s.Name(), "secret") {
		t.Errorf("%s: %v", s.Name(), err)
	}
}
