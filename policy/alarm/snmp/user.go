package snmp

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gosnmp/gosnmp"
)

// MinKey is the length of the shortest key, in characters (RFC 3414 11.2).
const MinKey = 8

// User is a user of SNMPv3's User-based Security Model (RFC 3414). Without a
// PrivKey messages are authenticated, but can be read on the way.
type User struct {
	Name         string
	AuthProtocol AuthProtocol
	AuthKey      string
	PrivProtocol PrivProtocol
	PrivKey      string
	// EngineID is the engine ID of rewatch, in hexadecimal. The manager has to know it for
	// traps. For INFORMs the engine ID of the manager counts, which is asked for.
	EngineID string
}

// AuthProtocol names an authentication protocol of SNMPv3 (RFC 3414, RFC 7860).
type AuthProtocol string

// PrivProtocol names an encryption protocol of SNMPv3 (RFC 3414, RFC 3826).
type PrivProtocol string

var authProtocols = map[AuthProtocol]gosnmp.SnmpV3AuthProtocol{
	"md5": gosnmp.MD5, "sha": gosnmp.SHA, "sha224": gosnmp.SHA224,
	"sha256": gosnmp.SHA256, "sha384": gosnmp.SHA384, "sha512": gosnmp.SHA512,
}

// AES with longer keys was never standardised; "c" is the way in which Cisco's equipment makes
// these keys.
var privProtocols = map[PrivProtocol]gosnmp.SnmpV3PrivProtocol{
	"des": gosnmp.DES, "aes": gosnmp.AES, "aes192": gosnmp.AES192, "aes256": gosnmp.AES256,
	"aes192c": gosnmp.AES192C, "aes256c": gosnmp.AES256C,
}

// AuthProtocols lists the authentication protocols, the oldest first.
func AuthProtocols() []AuthProtocol { return inOrder(authProtocols) }

// PrivProtocols lists the encryption protocols, the oldest first.
func PrivProtocols() []PrivProtocol { return inOrder(privProtocols) }

// inOrder lists names in the order of what they stand for.
func inOrder[K comparable, V cmp.Ordered](all map[K]V) []K {
	return slices.SortedFunc(maps.Keys(all), func(a, b K) int { return cmp.Compare(all[a], all[b]) })
}

// ParseEngineID reads the hexadecimal form of an engine ID of 5 to 32 octets (RFC 3411,
// SnmpEngineID), with or without 0x.
func ParseEngineID(s string) ([]byte, error) {
	if len(s) > 2 && s[:2] == "0x" {
		s = s[2:]
	}
	id, err := hex.DecodeString(s)
	if err != nil {
		return nil, err
	}
	if len(id) < 5 || len(id) > 32 {
		return nil, fmt.Errorf("%d octets instead of 5 to 32", len(id))
	}
	return id, nil
}

// apply makes a session one of SNMPv3. The engine ID stays open for an INFORM:
// then the manager's engine is the authoritative one, and gosnmp asks for it.
func (u User) apply(g *gosnmp.GoSNMP, inform bool, now time.Time) error {
	usm := &gosnmp.UsmSecurityParameters{
		UserName:               u.Name,
		AuthenticationProtocol: authProtocols[u.AuthProtocol], AuthenticationPassphrase: u.AuthKey,
		PrivacyProtocol: gosnmp.NoPriv,
	}
	g.Version, g.SecurityModel = gosnmp.Version3, gosnmp.UserSecurityModel
	g.MsgFlags, g.SecurityParameters = gosnmp.AuthNoPriv, usm
	if u.PrivKey != "" {
		g.MsgFlags = gosnmp.AuthPriv
		usm.PrivacyProtocol, usm.PrivacyPassphrase = privProtocols[u.PrivProtocol], u.PrivKey
	}
	if inform {
		return nil
	}
	id, err := ParseEngineID(u.EngineID)
	if err != nil {
		return fmt.Errorf("engine ID %q: %w", u.EngineID, err)
	}
	usm.AuthoritativeEngineID = string(id)
	usm.AuthoritativeEngineBoots, usm.AuthoritativeEngineTime = engineClock(now)
	g.ContextEngineID = usm.AuthoritativeEngineID
	return nil
}

// engineBirth is when all engines of rewatch were started, so to say.
var engineBirth = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// engineClock is snmpEngineBoots and snmpEngineTime (RFC 3414 2.2.2), worked out
// from the clock on the wall: see Why in doc.go. The time has 31 bits, after
// which it starts anew and counts as one more boot.
func engineClock(now time.Time) (boots, seconds uint32) {
	s := max(0, int64(now.Sub(engineBirth)/time.Second))
	return uint32(1 + s>>31), uint32(s & (1<<31 - 1))
}
