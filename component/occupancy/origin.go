package occupancy

import (
	"crypto/rand"
	"strings"
	"time"
)

// Origin is the place of a change in the history of its shard. It is the same in every program that keeps a replica of the shard.
// The zero Origin is that of a change that others may see differently, such as a difference between two snapshots.
type Origin struct {
	// Epoch names the run of the program that is connected to Prosody. It begins with the time of its start.
	Epoch string

	// Seq numbers the batches of the shard in the epoch, over all its domains, and Index the changes in one, from 0.
	Seq   uint64
	Index int
}

// newEpoch returns the name of a run that starts now.
func newEpoch(now time.Time) string {
	return now.UTC().Format("20060102T150405Z") + "-" + rand.Text()[:8]
}

// numbering numbers the batches of a shard and their changes, or takes the numbers of another program.
// The mu of the Directory protects it.
type numbering struct {
	last    Origin // of the last batch
	current Origin // of the next change
	given   Origin // of the batch that is being loaded, zero if it comes from Prosody
	local   bool   // whether the changes are seen differently elsewhere
}

// own returns a copy of an origin that shares no memory with it: all batches of an epoch share one text.
func (n *numbering) own(given Origin) Origin {
	epoch := n.last.Epoch
	if given.Epoch != epoch {
		epoch = strings.Clone(given.Epoch)
	}
	return Origin{Epoch: epoch, Seq: given.Seq}
}

// begin begins a batch, with the origin that another program gave it, or the next one.
func (n *numbering) begin(given Origin) {
	n.given, n.local = given, false
	n.current = Origin{Epoch: given.Epoch, Seq: given.Seq}
	if given.Epoch == "" {
		n.current = Origin{Epoch: n.last.Epoch, Seq: n.last.Seq + 1}
	}
}

// differences says that the changes of the present batch are the differences of a snapshot from what this program knew.
// Another program that receives the same batch may find others, so they get no number if the batch came from elsewhere.
func (n *numbering) differences() { n.local = n.given.Epoch != "" }

// startDelta sets the number of the next change of a given batch: each of its deltas is one change.
func (n *numbering) startDelta(i int) {
	if n.given.Epoch != "" {
		n.current.Index = i
	}
}

// next returns the origin of the next change.
func (n *numbering) next() Origin {
	if n.local {
		return Origin{}
	}
	p := n.current
	n.current.Index++
	return p
}

// end ends the present batch.
func (n *numbering) end() {
	n.last = Origin{Epoch: n.current.Epoch, Seq: n.current.Seq}
}

// Origins returns the origin of the last batch of each shard, and the Seq of the last [Event], at one moment.
func (d *Directory) Origins() (seq uint64, origins map[string]Origin) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.lastEvent, d.origins()
}

// origins is Origins for a caller that holds mu.
func (d *Directory) origins() map[string]Origin {
	all := make(map[string]Origin, len(d.shards))
	for _, s := range d.shards {
		all[s.name] = s.numbering.last
	}
	return all
}
