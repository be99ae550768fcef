//go:build integration

package integration

import (
	"crypto/md5" // of RFC 2617
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// A genuine is the S-CSCF of docker/lab/kamailio-scscf.cfg.
type genuine struct {
	*process
	s    *site
	addr string
}

// startGenuine starts a S-CSCF that asks the HSS of the site. The phones may use its RPC
// only by rewatch's address.
func (s *site) startGenuine() *genuine {
	s.t.Helper()
	g := &genuine{s: s, addr: s.ip(21) + ":6060"}
	s.write("cdp.xml", fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<DiameterPeer FQDN="scscf.ims.example" Realm="ims.example" Vendor_Id="10415" Product_Name="CDiameterPeer"
	AcceptUnknownPeers="1" DropUnknownOnDisconnect="1" Tc="1" Workers="2" QueueLength="32" TransactionTimeout="5"
	SessionsHashSize="128" DefaultAuthSessionTimeout="3600" MaxAuthSessionTimeout="3600">
	<Peer FQDN="%s" Realm="ims.example" port="3868"/>
	<Acceptor port="3870" bind="%s"/>
	<Auth id="16777216" vendor="10415"/>
	<SupportedVendor vendor="10415"/>
	<DefaultRoute FQDN="%s" metric="10"/>
</DiameterPeer>
`, s.ip(22), s.ip(21), s.ip(22)))
	cfg := s.write("scscf.cfg", fmt.Sprintf(`#!KAMAILIO
#!substdef "!SCSCF_IP!%s!g"
#!substdef "!TRUSTED_IP!127.0.0.1!g"
#!substdef "!RUN_DIR!%s!g"
include_file "%s"
`, s.ip(21), s.dir, lab(s.t, "kamailio-scscf.cfg")))
	g.process = s.start("scscf", nil, "kamailio", "-DD", "-E", "-m", "64", "-M", "8", "-f", cfg, "-w", s.dir, "-Y", s.dir)
	eventually(s.t, patient, "the S-CSCF has found its HSS", func() bool {
		g.running()
		out, err := g.ctl("cdp.list_peers")
		return err == nil && strings.Contains(out, "I_Open")
	})
	return g
}

func (g *genuine) ctl(args ...string) (string, error) {
	return command(append([]string{"kamcmd", "-s", "unix:" + g.s.file("scscf.ctl")}, args...)...)
}

// bound says whether a user is registered.
func (g *genuine) bound(user string) bool {
	out, err := g.ctl("ulscscf.showimpu", "sip:"+user+"@ims.example")
	return err == nil && strings.Contains(out, user+"@"+g.s.ip(50))
}

// register registers a user as its phone does: the first REGISTER is challenged, the
// second has the credentials.
func (g *genuine) register(c *scscf, user string) {
	g.s.t.Helper()
	callID := token("reg")
	send := func(cseq int, extra ...string) *message {
		lines := append([]string{
			"From: <sip:" + user + "@ims.example>;tag=" + token("r"), "To: <sip:" + user + "@ims.example>",
			"Call-ID: " + callID, fmt.Sprintf("CSeq: %d REGISTER", cseq),
			"Contact: <sip:" + user + "@" + g.s.ip(50) + ":5060>", "Expires: 600",
		}, extra...)
		return c.do("udp", g.addr, c.request("udp", "REGISTER", "sip:ims.example", "", lines...), patience)
	}
	name := user + "@ims.example"
	first := send(1, fmt.Sprintf(`Authorization: Digest username="%s",realm="ims.example",uri="sip:ims.example",nonce="",response=""`, name))
	if first == nil || first.status != 401 {
		g.s.t.Fatalf("the S-CSCF does not challenge: %v", first)
	}
	if second := send(2, authorization(first.get("www-authenticate"), name)); second == nil || second.status != 200 {
		g.s.t.Fatalf("the S-CSCF does not register %s: %v", user, second)
	}
}

// authorization answers a challenge (RFC 2617 3.2.2).
func authorization(challenge, name string) string {
	part := func(key string) string {
		_, rest, _ := strings.Cut(challenge, key+"=")
		if strings.HasPrefix(rest, `"`) {
			rest, _, _ = strings.Cut(rest[1:], `"`)
			return rest
		}
		rest, _, _ = strings.Cut(rest, ",")
		return rest
	}
	hash := func(s string) string { sum := md5.Sum([]byte(s)); return hex.EncodeToString(sum[:]) }
	nonce, qop := part("nonce"), part("qop")
	ha2 := hash("REGISTER:sip:ims.example")
	answer := fmt.Sprintf(`Authorization: Digest username="%s",realm="ims.example",nonce="%s",uri="sip:ims.example",algorithm=MD5`, name, nonce)
	if qop == "" {
		return answer + fmt.Sprintf(`,response="%s"`, hash(ha1(name)+":"+nonce+":"+ha2))
	}
	if strings.Contains(qop, "auth-int") {
		ha2 = hash("REGISTER:sip:ims.example:" + hash(""))
		qop = "auth-int"
	}
	return answer + fmt.Sprintf(`,qop=%s,nc=00000001,cnonce="c",response="%s"`, qop, hash(ha1(name)+":"+nonce+":00000001:c:"+qop+":"+ha2))
}

// TestSignOutHook: at the threshold a user is signed out of a genuine S-CSCF, which
// challenges every REGISTER, by the hook. Its alarm ends when the user has registered
// again and a NOTIFY has got through; another user is spared.
func TestSignOutHook(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.startNotifier()
	c := s.startSCSCF() // the phones, and the way to them
	hss := s.startHSS("sip:" + s.coreSide())
	hook := s.startWebhook()
	g := s.startGenuine()
	r := s.startRewatch(env{
		"REWATCH_THRESHOLD": "1", "REWATCH_RESUBSCRIBE_TIMEOUT": "1s", "REWATCH_ALARM_WEBHOOK": hook.url,
		"REWATCH_DEREGISTER_HOOK":      "POST http://" + g.addr + "/RPC",
		"REWATCH_DEREGISTER_HOOK_BODY": `{"jsonrpc":"2.0","method":"regscscf.dereg_impu","params":["{aor}"],"id":1}`,
	})
	for _, user := range []string{"alice", "carol"} {
		g.register(c, user)
		eventually(t, patience, user+" is registered", func() bool { return g.bound(user) })
	}
	eventually(t, patience, "rewatch has heard of both", func() bool { return r.metric("rewatch_registrations") == 2 })
	refused := c.do("udp", g.addr, c.request("udp", "REGISTER", "sip:ims.example", "",
		"From: <sip:rewatch@ims.example>;tag=1", "To: <sip:alice@ims.example>", "Call-ID: "+token("dereg"), "CSeq: 1 REGISTER",
		"Contact: *", "Expires: 0"), patience)
	if refused == nil || refused.status/100 == 2 || !g.bound("alice") {
		t.Fatalf("a de-REGISTER without credentials gets %v", refused)
	}

	watch := func(user string) *dialog {
		d, resp := c.subscribe(wish{user: user, buddy: "bob"})
		if resp.status != 200 {
			t.Fatalf("SUBSCRIBE of %s: %v", user, resp)
		}
		return n.dialog(d.callID)
	}
	alice, carol := watch("alice"), watch("carol")
	c.answer("NOTIFY", "alice", 480, "Temporarily Unavailable")
	n.notify(alice, patience)
	n.notify(carol, patience)
	eventually(t, patient, "alice is signed out", func() bool { return !g.bound("alice") })
	eventually(t, patience, "the alarm is told", func() bool { return len(hook.of("watcher-exhausted", "alice", false)) == 1 })
	if !g.bound("carol") || len(hook.of("deregister-failed", "alice", false)) != 0 {
		t.Error("carol has suffered, or the sign-out is said to have failed")
	}
	eventually(t, patience, "the sign-out is counted", func() bool {
		return r.metric("rewatch_deregistrations_total", `target="core"`, `result="ok"`) == 1
	})

	if hss.count(cmdMAR) < 2 {
		t.Errorf("the HSS was asked %d times for credentials", hss.count(cmdMAR))
	}

	c.answer("NOTIFY", "alice", 200, "OK")
	g.register(c, "alice")
	again := watch("alice")
	if resp := n.notify(again, patience); resp == nil || resp.status != 200 {
		t.Fatalf("NOTIFY after the return: %v", resp)
	}
	eventually(t, patience, "the alarm is cleared", func() bool { return len(hook.of("watcher-exhausted", "alice", true)) == 1 })
}
