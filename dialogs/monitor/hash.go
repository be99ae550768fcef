package monitor

import (
	"hash/maphash"

	"rewatch/dialogs/aor"
	"rewatch/dialogs/monitor/ident"
)

// hasher places keys in shards and slots and tells them apart. Its seeds are this
// process's own, so a peer cannot choose Call-IDs that meet in one shard.
type hasher struct {
	seed maphash.Seed // picks shard and slot
	keys maphash.Seed // tells keys apart
}

// hashBytes places a Call-ID.
func (h *hasher) hashBytes(b []byte) uint64 { return maphash.Bytes(h.seed, b) }

// identity tells one ID from all others of its Call-ID's shard.
func (h *hasher) identity(id *ident.ID) uint64 {
	var room [256]byte
	return maphash.Bytes(h.keys, id.AppendKey(room[:0]))
}

// identify is the identity of a subscription, by its texts.
func (h *hasher) identify(s *subscription) uint64 {
	var room [256]byte
	b := room[:0]
	for i := textCallID; i <= textEvent; i++ {
		b = append(append(b, s.part(i)...), 0)
	}
	return maphash.Bytes(h.keys, b)
}

// hashAOR places a user.
func (h *hasher) hashAOR(aor string) uint64 { return maphash.String(h.seed, aor) }

// hashThread stands for watcher, device, resource and event package, by which a new
// subscription is known to replace an older one: it has a fresh Call-ID, and perhaps
// another Event id.
func (h *hasher) hashThread(s *subscription) uint64 {
	var sum maphash.Hash
	var scratch [aor.MaxScratch]byte
	sum.SetSeed(h.seed)
	for _, text := range [...]string{s.watcher(), s.resource(), ident.PackageOf(s.event())} {
		_, _ = sum.WriteString(text)
		_ = sum.WriteByte(0)
	}
	if device := s.device(); device != "" {
		_, _ = sum.WriteString(device)
	} else if place, ok := aor.Append(scratch[:0], []byte(s.contact())); ok {
		_, _ = sum.Write(place)
	}
	return sum.Sum64()
}

// shardNumber takes the high bits of a hash; the maps use the low ones.
func shardNumber(hash uint64) uint32 { return uint32(hash >> (64 - shardBits)) }

func (t *Table) subShard(hash uint64) *subShard   { return &t.subs[shardNumber(hash)] }
func (t *Table) userShard(hash uint64) *userShard { return &t.users[shardNumber(hash)] }
