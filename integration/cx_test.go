//go:build integration

package integration

import (
	"bufio"
	"bytes"
	"crypto/md5" // of RFC 2617
	bin "encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// An hss is a small HSS: it answers what a S-CSCF asks by Cx (3GPP TS 29.229) on one
// Diameter connection (RFC 6733). Every user has the password "secret" and one
// application server, which hears of its registrations.
type hss struct {
	t    *testing.T
	host string
	as   string // URI of the application server

	mu    sync.Mutex
	asked map[uint32]int // by command code
}

// Commands and AVPs that occur here.
const (
	cmdCER, cmdDWR, cmdDPR = 257, 280, 282
	cmdSAR, cmdMAR         = 301, 303

	avpUserName, avpHostIP, avpAuthApp, avpSupportedVendor = 1, 257, 258, 265
	avpSession, avpOriginHost, avpVendorID, avpResult      = 263, 264, 266, 268
	avpProduct, avpVendorApp, avpAuthState, avpOriginRealm = 269, 260, 277, 296

	avpPublicID, avpUserData, avpAuthItems, avpScheme  = 601, 606, 607, 608
	avpAuthenticate, avpAuthorization, avpAuthDataItem = 609, 610, 612
	avpItemNumber, avpChargingInfo, avpChargingFunc    = 613, 618, 621

	vendor3GPP, appCx = 10415, 16777216
)

// startHSS starts one at an address of the site.
func (s *site) startHSS(as string) *hss {
	s.t.Helper()
	h := &hss{t: s.t, host: s.ip(22), as: as, asked: map[uint32]int{}}
	l, err := net.Listen("tcp4", s.ip(22)+":3868")
	if err != nil {
		s.t.Fatal(err)
	}
	var serving sync.WaitGroup
	var conns []net.Conn
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			conns = append(conns, c)
			h.mu.Unlock()
			serving.Go(func() { h.serve(c) })
		}
	})
	s.t.Cleanup(func() {
		_ = l.Close()
		h.mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		h.mu.Unlock()
		serving.Wait()
	})
	return h
}

// count is how often a command was asked.
func (h *hss) count(command uint32) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked[command]
}

func (h *hss) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	for {
		head := make([]byte, 20)
		if _, err := io.ReadFull(r, head); err != nil {
			return
		}
		length := int(bin.BigEndian.Uint32(head) & 0xffffff)
		if length < 20 || length > 1<<20 {
			h.t.Errorf("hss: a message of %d bytes", length)
			return
		}
		body := make([]byte, length-20)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		if head[4]&0x80 == 0 {
			continue // an answer
		}
		command := bin.BigEndian.Uint32(head[4:]) & 0xffffff
		h.mu.Lock()
		h.asked[command]++
		h.mu.Unlock()
		if _, err := c.Write(h.answer(head, command, avps(body))); err != nil {
			return
		}
	}
}

// answer makes the answer to a request.
func (h *hss) answer(head []byte, command uint32, asked map[uint32][]byte) []byte {
	var b bytes.Buffer
	if session := asked[avpSession]; session != nil {
		b.Write(avp(avpSession, 0, session))
	}
	b.Write(avp(avpResult, 0, u32(2001)))
	b.Write(avp(avpOriginHost, 0, []byte(h.host)))
	b.Write(avp(avpOriginRealm, 0, []byte("ims.example")))
	application := avp(avpVendorApp, 0, append(avp(avpVendorID, 0, u32(vendor3GPP)), avp(avpAuthApp, 0, u32(appCx))...))
	user := asked[avpUserName]
	switch command {
	case cmdCER:
		b.Write(avp(avpHostIP, 0, append([]byte{0, 1}, net.ParseIP(h.host).To4()...)))
		b.Write(avp(avpVendorID, 0, u32(vendor3GPP)))
		b.Write(avp(avpProduct, 0, []byte("rewatch test HSS")))
		b.Write(avp(avpSupportedVendor, 0, u32(vendor3GPP)))
		b.Write(application)
	case cmdMAR:
		b.Write(application)
		b.Write(avp(avpAuthState, 0, u32(1)))
		b.Write(avp(avpUserName, 0, user))
		b.Write(avp(avpPublicID, vendor3GPP, asked[avpPublicID]))
		b.Write(avp(avpAuthItems, vendor3GPP, u32(1)))
		item := avp(avpItemNumber, vendor3GPP, u32(1))
		item = append(item, avp(avpScheme, vendor3GPP, []byte("Digest-MD5"))...)
		item = append(item, avp(avpAuthenticate, vendor3GPP, []byte("0123456789abcdef"))...)
		item = append(item, avp(avpAuthorization, vendor3GPP, []byte("secret"))...)
		b.Write(avp(avpAuthDataItem, vendor3GPP, item))
	case cmdSAR:
		b.Write(application)
		b.Write(avp(avpAuthState, 0, u32(1)))
		b.Write(avp(avpUserName, 0, user))
		b.Write(avp(avpUserData, vendor3GPP, h.profile(string(user), string(asked[avpPublicID]))))
		b.Write(avp(avpChargingInfo, vendor3GPP, avp(avpChargingFunc, vendor3GPP, []byte("aaa://"+h.host))))
	}
	out := append([]byte(nil), head...)
	bin.BigEndian.PutUint32(out, 1<<24|uint32(20+b.Len()))
	out[4] &^= 0x80
	return append(out, b.Bytes()...)
}

// ha1 is the first hash of digest authentication (RFC 2617 3.2.2.2).
func ha1(user string) string {
	sum := md5.Sum([]byte(user + ":ims.example:secret"))
	return hex.EncodeToString(sum[:])
}

// profile is what a S-CSCF has to know of a user (3GPP TS 29.228 annex B).
func (h *hss) profile(private, public string) []byte {
	return fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>
<IMSSubscription><PrivateID>%s</PrivateID><ServiceProfile>
<PublicIdentity><BarringIndication>0</BarringIndication><Identity>%s</Identity></PublicIdentity>
<InitialFilterCriteria><Priority>0</Priority><TriggerPoint><ConditionTypeCNF>1</ConditionTypeCNF>
<SPT><ConditionNegated>0</ConditionNegated><Group>0</Group><Method>REGISTER</Method></SPT></TriggerPoint>
<ApplicationServer><ServerName>%s</ServerName><DefaultHandling>0</DefaultHandling></ApplicationServer></InitialFilterCriteria>
</ServiceProfile></IMSSubscription>`, private, public, h.as)
}

func u32(n uint32) []byte { return bin.BigEndian.AppendUint32(nil, n) }

// avp makes an AVP (RFC 6733 4.1).
func avp(code, vendor uint32, data []byte) []byte {
	head, flags := 8, uint32(0x40)
	if vendor != 0 {
		head, flags = 12, 0xc0
	}
	b := bin.BigEndian.AppendUint32(nil, code)
	b = bin.BigEndian.AppendUint32(b, flags<<24|uint32(head+len(data)))
	if vendor != 0 {
		b = bin.BigEndian.AppendUint32(b, vendor)
	}
	b = append(b, data...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// avps takes the AVPs of a message apart, by code; groups stay whole.
func avps(b []byte) map[uint32][]byte {
	all := make(map[uint32][]byte)
	for len(b) >= 8 {
		head, length := 8, int(bin.BigEndian.Uint32(b[4:])&0xffffff)
		if b[4]&0x80 != 0 {
			head = 12
		}
		if length < head || length > len(b) {
			return all
		}
		all[bin.BigEndian.Uint32(b)] = b[head:length]
		b = b[min(len(b), (length+3)&^3):]
	}
	return all
}
