package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// eventSyncReceiver is a presence bot for event_sync as people write them: it checks a bearer token,
// and tells occupants apart by occupant_jid and rooms by room_name.
type eventSyncReceiver struct {
	token string
	rooms map[string]map[string]string // names by occupant_jid
}

func newEventSyncReceiver(token string) *eventSyncReceiver {
	return &eventSyncReceiver{token, map[string]map[string]string{}}
}

// take handles a request.
func (e *eventSyncReceiver) take(r received) error {
	if r.header.Get("Authorization") != "Bearer "+e.token {
		return errors.New("401")
	}
	var doc struct {
		EventName  string `json:"event_name"`
		RoomName   string `json:"room_name"`
		RoomJID    string `json:"room_jid"`
		IsBreakout *bool  `json:"is_breakout"`
		CreatedAt  int64  `json:"created_at"`
		Active     *int   `json:"active_occupants_count"`
		Occupant   *struct {
			JID      string `json:"occupant_jid"`
			Name     string
			JoinedAt int64 `json:"joined_at"`
			LeftAt   int64 `json:"left_at"`
		}
	}
	if err := json.Unmarshal([]byte(r.body), &doc); err != nil {
		return err
	}
	if doc.IsBreakout == nil || doc.RoomName == "" || !strings.HasPrefix(doc.RoomJID, doc.RoomName+"@") {
		return errors.New("a field of the room is missing")
	}
	if e.rooms[doc.RoomName] == nil {
		e.rooms[doc.RoomName] = map[string]string{}
	}
	room := e.rooms[doc.RoomName]
	switch path := strings.TrimPrefix(r.path, "/prefix"); path + " " + doc.EventName {
	case "/events/room/created muc-room-created":
		if time.Since(time.Unix(doc.CreatedAt, 0)) > time.Hour {
			return fmt.Errorf("created_at is %d", doc.CreatedAt)
		}
	case "/events/room/destroyed muc-room-destroyed":
		delete(e.rooms, doc.RoomName)
	case "/events/occupant/joined muc-occupant-joined":
		if doc.Occupant == nil || doc.Active == nil || doc.Occupant.JoinedAt == 0 {
			return errors.New("a field of the occupant is missing")
		}
		room[doc.Occupant.JID] = doc.Occupant.Name
		if len(room) != *doc.Active {
			return fmt.Errorf("%d are there, active_occupants_count is %d", len(room), *doc.Active)
		}
	case "/events/occupant/left muc-occupant-left":
		if _, ok := room[doc.Occupant.JID]; !ok {
			return errors.New("left, but never joined")
		}
		delete(room, doc.Occupant.JID)
		if len(room) != *doc.Active || doc.Occupant.LeftAt < doc.Occupant.JoinedAt {
			return fmt.Errorf("%d are there, active_occupants_count is %d", len(room), *doc.Active)
		}
	default:
		return fmt.Errorf("404 for %s", doc.EventName)
	}
	return nil
}

// jaasReceiver is an attendance list for Jitsi as a Service as people write them: it verifies the signature by the documentation,
// drops repeats by idempotencyKey and orders by timestamp.
type jaasReceiver struct {
	secret string
	seen   map[string]bool
	lines  []string
}

// take handles a request.
func (j *jaasReceiver) take(r received) error {
	at, signature := "", ""
	for part := range strings.SplitSeq(r.header.Get("X-Jaas-Signature"), ",") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "t":
			at = value
		case "v1":
			signature = value
		}
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return fmt.Errorf("t is %q", at)
	}
	mac := hmac.New(sha256.New, []byte(j.secret))
	_, _ = mac.Write([]byte(at + "." + r.body))
	if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); signature != want {
		return fmt.Errorf("the signature is %s want %s", signature, want)
	}
	var doc struct {
		IdempotencyKey, EventType, SessionID, FQN string
		Timestamp                                 int64
		Data                                      struct {
			Conference, Name, ParticipantID, ParticipantFullJID, DisconnectReason string
		}
	}
	if err := json.Unmarshal([]byte(r.body), &doc); err != nil {
		return err
	}
	if len(doc.IdempotencyKey) != 36 || doc.SessionID == "" || doc.FQN == "" || time.Since(time.UnixMilli(doc.Timestamp)) > time.Hour || doc.Data.Conference == "" {
		return errors.New("a field of the envelope is missing")
	}
	if j.seen[doc.IdempotencyKey] {
		return nil
	}
	if j.seen == nil {
		j.seen = map[string]bool{}
	}
	j.seen[doc.IdempotencyKey] = true
	switch doc.EventType {
	case "PARTICIPANT_JOINED":
		j.lines = append(j.lines, doc.Data.Name+" joined "+doc.FQN)
	case "PARTICIPANT_LEFT":
		if doc.Data.DisconnectReason == "" || doc.Data.ParticipantID == "" || doc.Data.ParticipantFullJID == "" {
			return errors.New("a field of the participant is missing")
		}
		j.lines = append(j.lines, doc.Data.Name+" left "+doc.FQN)
	}
	return nil
}

func (j *jaasReceiver) sorted() []string {
	slices.Sort(j.lines)
	return j.lines
}
