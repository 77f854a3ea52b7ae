package view

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"ppch/component/occupancy"
)

// Occupant is one occupant of a room.
// About a person it contains what other people in the meeting see, and the identity that the server guarantees.
// It contains no e-mail addresses and real JIDs: they are personal data that counting does not need.
type Occupant struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	Kind        occupancy.Kind `json:"kind"`
	Role        string         `json:"role"`
	Affiliation string         `json:"affiliation"`
	JoinedAt    *string        `json:"joined_at"`

	// Rule is the name of the operator's rule that makes it hidden.
	Rule string `json:"rule,omitempty"`

	// MovedFrom is the room of the same meeting from which it came, and Connection the state of a connection that isn't up.
	MovedFrom  string               `json:"moved_from,omitempty"`
	Connection occupancy.Connection `json:"connection,omitempty"`

	User          *User   `json:"user"`
	AvatarURL     *string `json:"avatar_url"`
	HandRaised    *bool   `json:"hand_raised"`
	AudioMuted    *bool   `json:"audio_muted"`
	VideoMuted    *bool   `json:"video_muted"`
	ScreenSharing *bool   `json:"screen_sharing"`
}

// User is the identity in the token of an authenticated occupant.
type User struct {
	ID    *string `json:"id"`
	Name  *string `json:"name"`
	Group *string `json:"group"`
}

// NewOccupant returns the document for an occupant from source.
func NewOccupant(o occupancy.Occupant, source occupancy.Source) Occupant {
	doc := Occupant{
		ID:          o.ID,
		Name:        o.Name,
		Kind:        o.Kind,
		Rule:        o.Rule,
		Role:        o.Role,
		Affiliation: o.Affiliation,
		JoinedAt:    Stamp(o.JoinedAt),
	}
	if source != occupancy.SourceModule {
		return doc
	}
	if o.UserID != "" || o.UserName != "" || o.UserGroup != "" {
		doc.User = &User{ID: OrNull(o.UserID), Name: OrNull(o.UserName), Group: OrNull(o.UserGroup)}
	}
	if isWebURL(o.AvatarURL) {
		doc.AvatarURL = &o.AvatarURL
	}
	doc.MovedFrom, doc.Connection = o.MovedFrom, o.Connection
	doc.HandRaised = new(o.Flags.HandRaised())
	doc.AudioMuted = o.Flags.Audio().Is(occupancy.MediaMuted)
	doc.VideoMuted = o.Flags.Video().Is(occupancy.MediaMuted)
	doc.ScreenSharing = o.Flags.Screen().Is(occupancy.MediaOn)
	return doc
}

// Visitor is a visitor of a meeting, on the shard of a visitor node.
type Visitor struct {
	Occupant
	Shard string `json:"shard"`
}

// NewVisitors returns the documents of visitors, sorted by join time.
func NewVisitors(all []occupancy.Visitor) []Visitor {
	slices.SortStableFunc(all, func(a, b occupancy.Visitor) int {
		return cmp.Or(a.Compare(b.Record), cmp.Compare(a.Shard, b.Shard))
	})
	docs := make([]Visitor, 0, len(all))
	for _, v := range all {
		docs = append(docs, Visitor{NewOccupant(v.Occupant(), occupancy.SourceModule), v.Shard})
	}
	return docs
}

// OccupantDetail is an Occupant with its duration.
type OccupantDetail struct {
	Occupant
	DurationSeconds *int64 `json:"duration_seconds"`
}

// NewOccupantDetail returns the document for an occupant of a room.
func NewOccupantDetail(o occupancy.Occupant, room occupancy.Room) OccupantDetail {
	return OccupantDetail{NewOccupant(o, room.Source), duration(room, o.JoinedAt)}
}

// isWebURL reports whether a client's text is an http or https URL, from which a page may load an image.
// It allows only the characters of RFC 3986 §2, because others could end an HTML attribute.
func isWebURL(s string) bool {
	foreign := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) }
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && !strings.ContainsFunc(s, foreign)
}

// SortOccupants sorts occupants by join time.
func SortOccupants(all []*occupancy.Record) {
	slices.SortFunc(all, (*occupancy.Record).Compare)
}
