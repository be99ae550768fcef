package load

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// drops is how many datagrams the kernel dropped at our sockets because they
// were full. A loss with drops here is the generator's and not the target's.
func (g *Generator) drops() int { return dropsAt(g.cfg.Net.Core(), g.cfg.Net.Server()) }

// dropsAt is how many the kernel has dropped at the sockets of some addresses.
func dropsAt(addrs ...netip.AddrPort) (n int) {
	f, err := os.Open("/proc/net/udp")
	if err != nil {
		return 0
	}
	defer f.Close() //nolint:errcheck // only read
	own := map[string]bool{}
	for _, a := range addrs {
		own[procAddr(a)] = true
	}
	for s := bufio.NewScanner(f); s.Scan(); {
		c := strings.Fields(s.Text())
		if len(c) > 12 && own[c[1]] {
			k, _ := strconv.Atoi(c[len(c)-1])
			n += k
		}
	}
	return n
}

// procAddr is an address as /proc/net writes it: the bytes of an IPv4 address in
// the machine's order, the port in that of the network.
func procAddr(a netip.AddrPort) string {
	b := a.Addr().As4()
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(b[:]), a.Port())
}

// Listening tells whether somebody listens on an address.
func Listening(network string, a netip.AddrPort) bool {
	data, _ := os.ReadFile("/proc/net/" + network)
	for line := range strings.Lines(string(data)) {
		c := strings.Fields(line)
		if len(c) > 3 && c[1] == procAddr(a) && (network == "udp" || c[3] == "0A") {
			return true
		}
	}
	return false
}
