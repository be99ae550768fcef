package transport

const (
	// maxCar is the largest datagram that goes in a train: with its headers it fits
	// the links that pods have, for no car may be fragmented. maxTrain is what the
	// kernel takes in one piece.
	maxCar   = 1400
	maxTrain = 60000
)

// size is the length of datagram i.
func (o *Outbox) size(i int) int {
	if i == 0 {
		return o.ends[0]
	}
	return o.ends[i] - o.ends[i-1]
}

// train tells how many datagrams from one of them on can leave in one piece, and how
// long it is: they go to one address, and all are of the same length but the last,
// which may be shorter.
func (o *Outbox) train(from int) (cars, length int) {
	size := o.size(from)
	cars, length = 1, size
	if size > maxCar || size == 0 {
		return cars, length
	}
	for i := from + 1; i < len(o.ends) && o.to[i] == o.to[from]; i++ {
		next := o.size(i)
		if next > size || next == 0 || length+next > maxTrain {
			break
		}
		cars++
		length += next
		if next < size {
			break
		}
	}
	return cars, length
}
