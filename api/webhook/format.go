package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"ppch/component/occupancy"
)

// Format is the format of an endpoint's bodies.
type Format string

// The formats.
const (
	FormatPPCH        Format = "ppch"        // Standard Webhooks 1.0
	FormatCloudEvents Format = "cloudevents" // CloudEvents 1.0, structured mode
	FormatEventSync   Format = "event_sync"  // as jitsi-contrib's event_sync sends it
	FormatJaaS        Format = "jaas"        // as 8x8's Jitsi as a Service sends it
	FormatText        Format = "text"        // a message for people
)

// Formats returns all formats.
func Formats() []Format {
	return []Format{FormatPPCH, FormatCloudEvents, FormatEventSync, FormatJaaS, FormatText}
}

// needsNames reports whether a format is about single occupants, so that it means nothing without names.
func (f Format) needsNames() bool { return f == FormatEventSync || f == FormatJaaS }

// Message is an event in the format of an endpoint.
type Message struct {
	// Path is added to the path of the endpoint's URL.
	Path        string
	ContentType string
	Body        []byte
}

// Render returns e in a format, with or without what identifies people. It returns false if the format has no such event.
// Template is for FormatText only.
func Render(e *Event, f Format, names bool, template *Template) (Message, bool) {
	switch f {
	case FormatCloudEvents:
		return Message{ContentType: "application/cloudevents+json", Body: encode(newCloudEvent(e, names))}, true
	case FormatEventSync:
		return renderEventSync(e)
	case FormatJaaS:
		return renderJaaS(e)
	case FormatText:
		return Message{ContentType: template.ContentType(), Body: template.render(e, names)}, true
	}
	return Message{ContentType: mediaJSON, Body: encode(newPayload(e, names))}, true
}

const mediaJSON = "application/json"

// timestamp is the form of times, as in the rest of the API.
const timestamp = "2006-01-02T15:04:05.000Z07:00"

func stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC().Format(timestamp))
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// encode returns v as JSON. It panics with a value that JSON can't represent.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // as in the rest of the API
	if err := e.Encode(v); err != nil {
		panic(fmt.Errorf("webhook: marshal: %w", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// payload is the body of FormatPPCH.
type payload struct {
	Type      Type   `json:"type"`
	Timestamp string `json:"timestamp"`
	Data      data   `json:"data"`
}

// data is an event. Its fields are called as in the event stream.
type data struct {
	EventID  string `json:"event_id"`
	Shard    string `json:"shard"`
	Epoch    string `json:"epoch"`
	Seq      uint64 `json:"seq"`
	Position string `json:"position"` // for at_least

	NotBefore *string `json:"not_before"`

	RoomJID       *string             `json:"room_jid"`
	RoomName      *string             `json:"room_name"`
	DisplayName   *string             `json:"display_name"`
	MeetingURL    *string             `json:"meeting_url"`
	RoomType      *occupancy.RoomType `json:"room_type"`
	Tenant        *string             `json:"tenant"`
	ParentRoomJID *string             `json:"parent_room_jid"`
	Meeting       *string             `json:"meeting"`
	MeetingID     *string             `json:"meeting_id"`
	CreatedAt     *string             `json:"created_at"`
	EndedAt       *string             `json:"ended_at"`

	ParticipantCount *int                   `json:"participant_count"`
	MeetingCount     *int                   `json:"meeting_participant_count"`
	Counts           map[occupancy.Kind]int `json:"counts"`
	WaitingCount     *int                   `json:"waiting_count"`
	Stay             *string                `json:"stay"`
	Occupant         *occupantData          `json:"occupant"`

	Domain  *string `json:"domain"`
	Reason  *string `json:"reason"`
	Since   *string `json:"since"`
	Webhook *string `json:"webhook"`
}

// occupantData is the occupant whom an event concerns.
type occupantData struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Kind     occupancy.Kind `json:"kind"`
	Role     string         `json:"role"`
	JoinedAt *string        `json:"joined_at"`
	LeftAt   *string        `json:"left_at"`

	User          *userData `json:"user"`
	HandRaised    bool      `json:"hand_raised"`
	AudioMuted    *bool     `json:"audio_muted"`
	VideoMuted    *bool     `json:"video_muted"`
	ScreenSharing *bool     `json:"screen_sharing"`

	MovedFrom  *string               `json:"moved_from"`
	Connection *occupancy.Connection `json:"connection"`
}

// userData is who an occupant is by its token.
type userData struct {
	ID    *string `json:"id"`
	Name  *string `json:"name"`
	Group *string `json:"group"`
}

func newPayload(e *Event, names bool) payload {
	return payload{Type: e.Type, Timestamp: e.At.UTC().Format(timestamp), Data: newData(e, names)}
}

func newData(e *Event, names bool) data {
	d := data{
		EventID: e.ID, Shard: e.Position.Shard, Epoch: e.Position.Epoch, Seq: e.Position.Seq, Position: e.Position.String(),
		RoomJID: orNull(e.Room.JID), RoomName: orNull(e.Room.Name), DisplayName: orNull(e.Room.Display), MeetingURL: orNull(e.Room.URL), Tenant: orNull(e.Room.Tenant), ParentRoomJID: orNull(e.Room.Parent),
		NotBefore: stamp(e.NotBefore), Meeting: orNull(e.Room.Meeting), MeetingID: orNull(e.Room.MeetingID), CreatedAt: stamp(e.Room.CreatedAt), EndedAt: stamp(e.Room.EndedAt),
		ParticipantCount: e.Participants, MeetingCount: e.MeetingParticipants, Counts: e.Counts, WaitingCount: e.Waiting,
		Webhook: orNull(e.Webhook), Domain: orNull(e.Domain), Reason: orNull(e.Reason), Since: stamp(e.Since),
	}
	if e.Room.Type != "" {
		d.RoomType = &e.Room.Type
	}
	if e.Occupant != nil && names {
		d.Occupant, d.Stay = new(newOccupantData(*e.Occupant)), orNull(e.Stay)
	}
	return d
}

func newOccupantData(o Occupant) occupantData {
	doc := occupantData{
		ID: o.ID, Name: o.Name, Kind: o.Kind, Role: o.Role, JoinedAt: stamp(o.JoinedAt), LeftAt: stamp(o.LeftAt),
		MovedFrom: orNull(o.MovedFrom), HandRaised: o.Flags.HandRaised(),
		AudioMuted: o.Flags.Audio().Is(occupancy.MediaMuted), VideoMuted: o.Flags.Video().Is(occupancy.MediaMuted), ScreenSharing: o.Flags.Screen().Is(occupancy.MediaOn),
	}
	if o.Connection != "" {
		doc.Connection = &o.Connection
	}
	if o.UserID != "" || o.UserName != "" || o.UserGroup != "" {
		doc.User = &userData{ID: orNull(o.UserID), Name: orNull(o.UserName), Group: orNull(o.UserGroup)}
	}
	return doc
}

// cloudEvent is the body of FormatCloudEvents: CloudEvents 1.0, JSON format, structured mode.
type cloudEvent struct {
	SpecVersion     string  `json:"specversion"`
	ID              string  `json:"id"`
	Source          string  `json:"source"`
	Type            string  `json:"type"`
	Subject         *string `json:"subject,omitempty"`
	Time            string  `json:"time"`
	DataContentType string  `json:"datacontenttype"`
	Data            data    `json:"data"`
}

func newCloudEvent(e *Event, names bool) cloudEvent {
	subject := orNull(e.Room.JID)
	if subject == nil {
		subject = orNull(e.Domain)
	}
	return cloudEvent{
		SpecVersion: "1.0", ID: e.ID, Source: "urn:ppch:" + e.Position.Shard, Type: "ppch." + string(e.Type), Subject: subject,
		Time: e.At.UTC().Format(timestamp), DataContentType: mediaJSON, Data: newData(e, names),
	}
}
