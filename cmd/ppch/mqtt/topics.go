package mqtt

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// Payloads of availability topics, which are Home Assistant's defaults.
const (
	online  = "online"
	offline = "offline"
)

// Room is a room to publish.
type Room struct {
	// Name is as people write it.
	Name string

	id string // in topics
}

// NewRooms returns the rooms of these names, or an error if two are the same.
func NewRooms(names ...string) ([]Room, error) {
	seen := map[string]string{}
	rooms := make([]Room, 0, len(names))
	for _, name := range names {
		r := Room{Name: name, id: idOf(name)}
		if other, twice := seen[r.id]; twice {
			return nil, fmt.Errorf("%q and %q are the same room: name it once", other, name)
		}
		seen[r.id] = name
		rooms = append(rooms, r)
	}
	return rooms, nil
}

// maxID is the length of a name that is its own id.
const maxID = 48

// idOf returns a text of the characters that Home Assistant allows in topics. A plain name is its own id; others get a hash.
// Names are the same in upper and lower case, as in Jitsi.
func idOf(name string) string {
	name = strings.ToLower(name)
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, name)
	if plain == name && len(name) <= maxID {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return plain[:min(len(plain), maxID)] + "_" + hex.EncodeToString(sum[:4])
}

// statusTopic says whether the program is connected.
func (b *Bridge) statusTopic() string { return b.cfg.Topic + "/status" }

// peopleTopic has the number of people in a room.
func (b *Bridge) peopleTopic(r Room) string { return b.cfg.Topic + "/" + r.id + "/people" }

// currentTopic says whether that number is current.
func (b *Bridge) currentTopic(r Room) string { return b.cfg.Topic + "/" + r.id + "/availability" }

// discoveryTopic has the description of a room's sensor for Home Assistant.
func (b *Bridge) discoveryTopic(id string) string {
	return b.cfg.Discovery + "/sensor/" + b.cfg.node() + "/" + id + "/config"
}

// node returns the part of discovery topics that is this program's own.
func (c Config) node() string { return idOf(c.Topic) }

// sensor is the description of a sensor for Home Assistant (MQTT integration, "MQTT Discovery" and "MQTT Sensor").
type sensor struct {
	Name             string         `json:"name"`
	UniqueID         string         `json:"unique_id"`
	StateTopic       string         `json:"state_topic"`
	StateClass       string         `json:"state_class"`
	Unit             string         `json:"unit_of_measurement"`
	Icon             string         `json:"icon"`
	QoS              int            `json:"qos"`
	Availability     []availability `json:"availability"`
	AvailabilityMode string         `json:"availability_mode"`
	Device           device         `json:"device"`
	Origin           origin         `json:"origin"`
}

type availability struct {
	Topic string `json:"topic"`
}

type device struct {
	Identifiers []string `json:"identifiers"`
	Name        string   `json:"name"`
	SWVersion   string   `json:"sw_version"`
}

type origin struct {
	Name      string `json:"name"`
	SWVersion string `json:"sw_version"`
}

// sensorOf returns the description of a room's sensor. It is available only if the program is connected and the number current.
func (b *Bridge) sensorOf(r Room) ([]byte, error) {
	node := b.cfg.node()
	return json.Marshal(sensor{
		Name: r.Name, UniqueID: node + "_" + r.id,
		StateTopic: b.peopleTopic(r), StateClass: "measurement", Unit: "people", Icon: "mdi:account-group", QoS: 1,
		Availability:     []availability{{b.statusTopic()}, {b.currentTopic(r)}},
		AvailabilityMode: "all",
		Device:           device{Identifiers: []string{node}, Name: "PPCH", SWVersion: b.cfg.Version},
		Origin:           origin{Name: "PPCH", SWVersion: b.cfg.Version},
	})
}
