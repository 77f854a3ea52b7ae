package mqtt

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// Bounds of a connection to the broker.
const (
	dialTimeout   = 10 * time.Second
	packetTimeout = 10 * time.Second

	// keepAlive is how long the broker waits for a sign of life, half as long again, before it publishes the last will.
	keepAlive = 15 * time.Second
)

// RefusedError is the error of a broker that refuses: another attempt would be useless.
type RefusedError struct{ reason string }

func (e *RefusedError) Error() string { return "the broker refuses " + e.reason }

// refusal returns the error for an answer to a connection, or nil.
func refusal(ack *paho.Connack) error {
	switch code := ack.ReasonCode; code {
	case packets.ConnackSuccess:
		return nil
	case packets.ConnackServerUnavailable, packets.ConnackServerBusy, packets.ConnackConnectionRateExceeded:
		return fmt.Errorf("the broker is busy (reason code %d of MQTT 5)", code)
	case packets.ConnackNotAuthorized, packets.ConnackBadUsernameOrPassword:
		return &RefusedError{"the user or password: check --user and --password-file"}
	case packets.ConnackUnsupportedProtocolVersion:
		return &RefusedError{"MQTT 5: use a newer broker, such as Mosquitto 1.6"}
	default:
		return &RefusedError{fmt.Sprintf("the connection (reason code %d of MQTT 5)", code)}
	}
}

// session publishes on one connection until it ends, which is an error, or ctx ends, which is none.
func (b *Bridge) session(ctx context.Context) error {
	conn, err := b.dial(ctx)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	fail := func(err error) {
		select {
		case failed <- err:
		default:
		}
	}
	old := make(chan string, 16)
	client := paho.NewClient(paho.ClientConfig{
		ClientID:      b.cfg.node() + "-" + strings.ToLower(rand.Text()[:8]),
		Conn:          packets.NewThreadSafeConn(conn),
		PacketTimeout: packetTimeout,
		OnClientError: fail,
		OnServerDisconnect: func(d *paho.Disconnect) {
			fail(fmt.Errorf("the broker ended the connection (reason code %d of MQTT 5)", d.ReasonCode))
		},
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			b.notice(p.Packet, old)
			return true, nil
		}},
	})
	if err := b.open(ctx, client); err != nil {
		_ = conn.Close() // it may be open
		return err
	}
	defer func() { _ = client.Disconnect(&paho.Disconnect{}) }() // best effort
	b.cfg.Log.Info("connected to the broker", "broker", b.cfg.Broker.Host)
	if err := b.serve(ctx, client, failed, old); err != nil {
		return err
	}
	// So that the number is not taken for current until it expires. The will would not be sent after a regular end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), packetTimeout)
	defer cancel()
	_ = b.publish(ctx, client, b.statusTopic(), offline, 0) // best effort
	return nil
}

// dial connects to the broker.
func (b *Bridge) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if b.cfg.Broker.Scheme != "mqtts" {
		return (&net.Dialer{}).DialContext(ctx, "tcp", b.cfg.Broker.Host)
	}
	return (&tls.Dialer{Config: b.cfg.TLS}).DialContext(ctx, "tcp", b.cfg.Broker.Host)
}

// open logs in, with the last will.
func (b *Bridge) open(ctx context.Context, client *paho.Client) error {
	ctx, cancel := context.WithTimeout(ctx, packetTimeout)
	defer cancel()
	ack, err := client.Connect(ctx, &paho.Connect{
		ClientID: client.ClientID(), CleanStart: true, KeepAlive: uint16(keepAlive.Seconds()),
		Username: b.cfg.User, UsernameFlag: b.cfg.User != "",
		Password: []byte(b.cfg.Password), PasswordFlag: b.cfg.Password != "",
		WillMessage: &paho.WillMessage{Topic: b.statusTopic(), Payload: []byte(offline), QoS: 1, Retain: true},
	})
	if ack != nil {
		return refusal(ack)
	}
	return err
}

// serve publishes everything, then changes, and renews what would expire.
func (b *Bridge) serve(ctx context.Context, client *paho.Client, failed <-chan error, old <-chan string) error {
	if b.cfg.Discovery != "" {
		if err := b.describe(ctx, client); err != nil {
			return err
		}
	}
	if err := b.publishAll(ctx, client); err != nil {
		return err
	}
	renew := time.NewTicker(renewEvery)
	defer renew.Stop()
	for {
		var err error
		select {
		case u := <-b.states:
			if b.note(u) {
				err = b.publishRoom(ctx, client, u.room)
			}
		case topic := <-old:
			err = b.publish(ctx, client, topic, "", 0) // removes it
		case <-renew.C:
			err = b.publishAll(ctx, client)
		case err = <-failed:
		case <-client.Done():
			err = errors.New("the connection ended")
		case <-ctx.Done():
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// describe publishes the sensors for Home Assistant, and asks for those of rooms that are no longer chosen.
func (b *Bridge) describe(ctx context.Context, client *paho.Client) error {
	for _, r := range b.cfg.Rooms {
		text, err := b.sensorOf(r)
		if err != nil {
			return err
		}
		if err := b.publish(ctx, client, b.discoveryTopic(r.id), string(text), 0); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, packetTimeout)
	defer cancel()
	_, err := client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: b.discoveryTopic("+"), QoS: 1}}})
	if err != nil {
		// A user who may only publish keeps the sensors of earlier rooms.
		b.cfg.Log.Warn("the broker does not let this user read "+b.discoveryTopic("+")+": sensors of rooms that are no longer chosen remain", "err", err)
	}
	return nil
}

// notice passes on the topic of a sensor whose room is no longer chosen.
func (b *Bridge) notice(p *paho.Publish, old chan<- string) {
	if len(p.Payload) == 0 {
		return
	}
	for _, r := range b.cfg.Rooms {
		if p.Topic == b.discoveryTopic(r.id) {
			return
		}
	}
	select {
	case old <- p.Topic:
	default: // the next connection finds it again
	}
}

// publishAll publishes every known number, and that this program is connected.
func (b *Bridge) publishAll(ctx context.Context, client *paho.Client) error {
	for _, r := range b.cfg.Rooms {
		if err := b.publishRoom(ctx, client, r); err != nil {
			return err
		}
	}
	return b.publish(ctx, client, b.statusTopic(), online, expiry)
}

// publishRoom publishes the number of a room before it says that the number is current.
func (b *Bridge) publishRoom(ctx context.Context, client *paho.Client, r Room) error {
	state, known := b.known[r.id]
	if !known || state.Problem != "" {
		return b.publish(ctx, client, b.currentTopic(r), offline, 0)
	}
	if err := b.publish(ctx, client, b.peopleTopic(r), strconv.Itoa(state.People), expiry); err != nil {
		return err
	}
	return b.publish(ctx, client, b.currentTopic(r), online, expiry)
}

// publish publishes a retained message, which the broker drops after a time unless that is 0.
func (b *Bridge) publish(ctx context.Context, client *paho.Client, topic, payload string, drop time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, packetTimeout)
	defer cancel()
	m := &paho.Publish{Topic: topic, Payload: []byte(payload), QoS: 1, Retain: true}
	if drop > 0 {
		seconds := uint32(drop.Seconds())
		m.Properties = &paho.PublishProperties{MessageExpiry: &seconds}
	}
	ack, err := client.Publish(ctx, m)
	if ack != nil && ack.ReasonCode == packets.PubackNotAuthorized {
		return &RefusedError{"to let this user publish to " + topic + ": allow it in the broker's access control, or choose another --topic"}
	}
	if err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	return nil
}
