package protocol_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ppch/component/occupancy"
	"ppch/component/protocol"
)

// FuzzBatch reads anything: an accepted batch stays the same when written and read again,
// with its text split into any tokens, and is refused without its end.
func FuzzBatch(f *testing.F) {
	for _, s := range samples {
		file, err := os.ReadFile(filepath.Join("../../prosody/samples", s.file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(file), uint8(7))
	}
	f.Add(inRoom("+\ta\\\\\\t\\n\\rb\t\t\t\t\t\t\t\t\t\t\thand hand\textra\n-\tc\n"), uint8(1))
	f.Add(inBatch("<room jid='r@muc.x'>+\ta<x/>b\n<![CDATA[-\tc\n]]></room><gone jid='q@muc.x'/>"), uint8(2))
	f.Fuzz(func(t *testing.T, in string, cut uint8) {
		got, err := decodeBatch(in)
		if err != nil {
			if !cmp.Equal(got, protocol.Batch{}) {
				t.Fatalf("%q: got %+v and error %v", in, got, err)
			}
			return
		}
		again, err := decodeBatch(encodeBatch(got))
		if diff := cmp.Diff(got, again, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%q written and read: %v, -want +got:\n%s", in, err, diff)
		}
		tokens := split(in, int(cut%16)+1)
		again, err = decode(&tokens)
		if diff := cmp.Diff(got, again); diff != "" || err != nil {
			t.Errorf("%q in chunks: %v, -want +got:\n%s", in, err, diff)
		}
		tokens = split(in, 1<<20)
		tokens = tokens[:len(tokens)-1]
		if got, err := decode(&tokens); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q without its end: got %+v and error %v", in, got, err)
		}
	})
}

// tokens reads tokens from memory, as a handler behind the guard does.
type tokens []xml.Token

func (r *tokens) Token() (xml.Token, error) {
	if len(*r) == 0 {
		return nil, io.EOF
	}
	tok := (*r)[0]
	*r = (*r)[1:]
	return tok, nil
}

// split returns the tokens of the first element in s, with text split into chunks of size bytes.
func split(s string, size int) (all tokens) {
	d := xml.NewDecoder(strings.NewReader(s))
	for depth := 0; ; {
		tok, err := d.Token()
		if err != nil {
			return all
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			depth++
			all = append(all, tok.Copy())
		case xml.EndElement:
			all = append(all, tok)
			if depth--; depth == 0 {
				return all
			}
		case xml.CharData:
			for text := tok.Copy(); len(text) > 0 && depth > 0; {
				n := min(size, len(text))
				all = append(all, text[:n])
				text = text[n:]
			}
		}
	}
}

// BenchmarkBatch reads 100,000 occupants in pages of 200, from tokens and from XML.
func BenchmarkBatch(b *testing.B) {
	const pages, page = 500, 200
	snapshot := make([]string, pages)
	parsed := make([]tokens, pages)
	size := 0
	for p := range pages {
		delta := occupancy.Delta{Room: fmt.Sprintf("room%d@muc.meet.jitsi", p), New: true, Facts: &occupancy.RoomFacts{CreatedAt: at(0)}}
		for i := range page {
			delta.Present = append(delta.Present, occupancy.Occupant{
				ID: fmt.Sprintf("%08x", p*page+i), RealJID: fmt.Sprintf("%032x@meet.jitsi/Abcdefgh_%08x", i, p),
				Role: "participant", Affiliation: "none", JoinedAt: at(int64(i)), Name: fmt.Sprintf("Person %d & Co.", i),
				Flags: occupancy.FlagAudioMuted | occupancy.FlagVideoOn,
			})
		}
		snapshot[p] = encodeBatch(protocol.Batch{Epoch: "e", Seq: uint64(p) + 1, Batch: occupancy.Batch{Deltas: []occupancy.Delta{delta}}})
		parsed[p] = split(snapshot[p], 1<<20)
		size += len(snapshot[p])
	}
	run := func(b *testing.B, decode func(p int) (protocol.Batch, error)) {
		b.SetBytes(int64(size))
		b.ReportAllocs()
		for b.Loop() {
			for p := range pages {
				if got, err := decode(p); err != nil || len(got.Deltas[0].Present) != page {
					b.Fatal(got, err)
				}
			}
		}
	}
	b.Run("tokens", func(b *testing.B) {
		run(b, func(p int) (protocol.Batch, error) {
			t := parsed[p]
			return decode(&t)
		})
	})
	b.Run("xml", func(b *testing.B) {
		run(b, func(p int) (protocol.Batch, error) { return decodeBatch(snapshot[p]) })
	})
}
