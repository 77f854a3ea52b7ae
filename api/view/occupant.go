package view

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"ppch/component/occupancy"
)

// Occupant is one occupant of a room.
// What can be read from it about a person is what people in the meeting see of each other, and who the server says it is:
// e-mail addresses and real JIDs are personal data that counting does not need.
type Occupant struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	Kind        occupancy.Kind `json:"kind"`
	Role        string         `json:"role"`
	Affiliation string         `json:"affiliation"`
	JoinedAt    *string        `json:"joined_at"`

	User          *User   `json:"user"`
	AvatarURL     *string `json:"avatar_url"`
	HandRaised    *bool   `json:"hand_raised"`
	AudioMuted    *bool   `json:"audio_muted"`
	VideoMuted    *bool   `json:"video_muted"`
	ScreenSharing *bool   `json:"screen_sharing"`
}

// User is who an occupant is by the token with which it was let in.
type User struct {
	ID    *string `json:"id"`
	Name  *string `json:"name"`
	Group *string `json:"group"`
}

// NewOccupant returns o as source knows it.
func NewOccupant(o occupancy.Occupant, source occupancy.Source) Occupant {
	doc := Occupant{
		ID:          o.ID,
		Name:        o.Name,
		Kind:        o.Kind,
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
	doc.HandRaised = new(o.Flags.HandRaised())
	doc.AudioMuted = is(occupancy.MediaMuted, o.Flags.Audio())
	doc.VideoMuted = is(occupancy.MediaMuted, o.Flags.Video())
	doc.ScreenSharing = is(occupancy.MediaOn, o.Flags.Screen())
	return doc
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

// is returns whether s is want, nil (null) where s isn't known.
func is(want, s occupancy.MediaState) *bool {
	if s == occupancy.MediaUnknown {
		return nil
	}
	return new(s == want)
}

// isWebURL reports whether a client's text is a URL that a page may load an image from, and nothing else:
// no javascript: or data:, and no character that RFC 3986 §2 doesn't have, of which some would end an attribute of HTML.
func isWebURL(s string) bool {
	foreign := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) }
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && !strings.ContainsFunc(s, foreign)
}

// SortOccupants puts occupants in the order in which they came.
func SortOccupants(all []*occupancy.Occupant) {
	slices.SortFunc(all, func(a, b *occupancy.Occupant) int {
		return cmp.Or(a.JoinedAt.Compare(b.JoinedAt), a.Stamp.Compare(b.Stamp), cmp.Compare(a.ID, b.ID))
	})
}
