package webhook

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"strings"
)

// jaasTypes are the event types of Jitsi as a Service.
var jaasTypes = map[Type]string{
	RoomStarted:          "ROOM_CREATED",
	RoomEnded:            "ROOM_DESTROYED",
	ParticipantJoined:    "PARTICIPANT_JOINED",
	ParticipantLeft:      "PARTICIPANT_LEFT",
	LobbyWaiting:         "PARTICIPANT_JOINED_LOBBY",
	LobbyLeft:            "PARTICIPANT_LEFT_LOBBY",
	RecordingStarted:     "RECORDING_STARTED",
	RecordingEnded:       "RECORDING_ENDED",
	TranscriptionStarted: "TRANSCRIPTION_STARTED",
	TranscriptionEnded:   "TRANSCRIPTION_ENDED",
}

// jaasReasons are the words of Jitsi as a Service for why a participant left. It has fewer than PPCH.
var jaasReasons = map[string]string{
	"left":           "left",
	"kicked":         "kicked",
	"banned":         "kicked",
	"room-destroyed": "left",
	"disconnected":   "unknown", // its word for a lost connection
	"replaced":       "switch_room",
	"moved":          "switch_room",
}

// jaasEvent is the body of FormatJaaS.
type jaasEvent struct {
	IdempotencyKey string   `json:"idempotencyKey"`
	CustomerID     string   `json:"customerId"`
	AppID          string   `json:"appId"`
	EventType      string   `json:"eventType"`
	SessionID      string   `json:"sessionId"` // Jitsi's id of the meeting, or PPCH's if Jitsi has none
	Timestamp      int64    `json:"timestamp"` // milliseconds
	FQN            string   `json:"fqn"`
	Data           jaasData `json:"data"`
}

type jaasData struct {
	Conference     string  `json:"conference"`
	IsBreakout     bool    `json:"isBreakout"`
	BreakoutRoomID *string `json:"breakoutRoomId,omitempty"`

	*jaasParticipant
	DisconnectReason *string `json:"disconnectReason,omitempty"`
}

// jaasParticipant is a participant. Its JIDs are those in the room: PPCH stores no real JID, no avatar and no e-mail address.
type jaasParticipant struct {
	ID                 *string `json:"id,omitempty"`
	Name               string  `json:"name"`
	Group              *string `json:"group,omitempty"`
	Moderator          bool    `json:"moderator"`
	ParticipantID      string  `json:"participantId"`
	ParticipantJID     string  `json:"participantJid"`
	ParticipantFullJID string  `json:"participantFullJid"`
}

// renderJaaS returns an event of Jitsi as a Service.
func renderJaaS(e *Event) (Message, bool) {
	typ, ok := jaasTypes[e.Type]
	if !ok {
		return Message{}, false
	}
	room := strings.TrimPrefix(localpart(e.Room.JID), "["+e.Room.Tenant+"]")
	doc := jaasEvent{
		IdempotencyKey: uuidOf(e.ID), AppID: e.Room.Tenant, EventType: typ, SessionID: cmp.Or(e.Room.MeetingID, e.Room.Meeting), Timestamp: e.At.UnixMilli(), FQN: room,
		Data: jaasData{Conference: e.Room.JID},
	}
	if e.Room.Tenant != "" {
		doc.FQN = e.Room.Tenant + "/" + room
	}
	if e.Room.Parent != "" {
		doc.Data.IsBreakout, doc.Data.BreakoutRoomID = true, new(localpart(e.Room.JID))
		doc.Data.Conference = e.Room.Parent
	}
	if o := e.Occupant; o != nil {
		address := e.Room.JID + "/" + o.ID
		doc.Data.jaasParticipant = &jaasParticipant{
			ID: orNull(o.UserID), Name: nameOf(*o), Group: orNull(o.UserGroup), Moderator: o.Role == "moderator",
			ParticipantID: o.ID, ParticipantJID: address, ParticipantFullJID: address,
		}
	}
	if e.Type == ParticipantLeft {
		reason, ok := jaasReasons[e.Reason]
		if !ok {
			reason = "unknown"
		}
		doc.Data.DisconnectReason = &reason
	}
	return Message{ContentType: mediaJSON, Body: encode(doc)}, true
}

// uuidOf returns a UUID that is the same for the same event: version 8 of RFC 9562 §5.8, made of a hash.
func uuidOf(id string) string {
	b := sha256.Sum256([]byte(id))
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
