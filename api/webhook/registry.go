package webhook

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ppch/api/keys"
)

// Registry keeps the settings of the endpoints of all nodes. Each node reads and changes them there; those with a store deliver.
// It is safe for concurrent use. Its errors say for people why it can't be used now.
type Registry interface {
	// Endpoints returns all endpoints, those that were removed included. A known list stays known.
	Endpoints() ([]Registered, error)

	// Update changes an endpoint. change gets the present one, without a value if there is none; if another node changes it too, it is called again.
	Update(ctx context.Context, name string, change func(now Registered) (Registered, error)) (Registered, error)

	// Changed returns a channel that is closed when endpoints change after this call.
	Changed() <-chan struct{}
}

// Registered is an endpoint in a Registry.
type Registered struct {
	Name       string
	Value      []byte
	Generation uint64 // grows with every change
	Removed    bool
}

// RegistryError is the error of a Registry that can't be used now. Its cause says why.
type RegistryError struct{ Err error }

func (e *RegistryError) Error() string { return "webhook: registry: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *RegistryError) Unwrap() error { return e.Err }

// ErrElsewhere means that this node delivers nothing, since it has no store: those with one have the deliveries.
var ErrElsewhere = errors.New("webhook: delivered by other nodes")

// registered is the value of an endpoint in a Registry. State by failure stays with the node that delivers.
type registered struct {
	Owner     []byte    `json:"owner"`
	ID        string    `json:"id"`
	Settings  Settings  `json:"settings"`
	Secret    string    `json:"secret"`
	Previous  string    `json:"previous,omitempty"`
	Until     time.Time `json:"until,omitzero"`
	CreatedAt time.Time `json:"created_at"`
}

// registryName returns the name of an endpoint in a Registry. It shows nothing of the key or the id.
func registryName(owner keys.Sum, id string) string {
	sum := sha256.Sum256(append(owner[:], id...))
	return hex.EncodeToString(sum[:16])
}

// encodeRegistered returns an endpoint as it is registered.
func encodeRegistered(e Endpoint) (Registered, error) {
	// #nosec G117 -- it is encrypted in the bucket
	value, err := json.Marshal(registered{Owner: e.Owner[:], ID: e.ID, Settings: e.Settings, Secret: e.Secret, Previous: e.Previous, Until: e.PreviousUntil, CreatedAt: e.CreatedAt})
	return Registered{Value: value}, err
}

// decodeRegistered returns a registered endpoint, and false if there is none.
func decodeRegistered(r Registered) (Endpoint, bool, error) {
	if r.Removed || r.Generation == 0 {
		return Endpoint{Generation: r.Generation}, false, nil
	}
	var v registered
	if err := json.Unmarshal(r.Value, &v); err != nil || len(v.Owner) != len(keys.Sum{}) || CheckID(v.ID) != nil || CheckSecret(v.Secret) != nil {
		return Endpoint{}, false, fmt.Errorf("webhook: registered endpoint %s is not valid", r.Name)
	}
	e := Endpoint{
		ID: v.ID, Owner: keys.Sum(v.Owner), Settings: v.Settings, Secret: v.Secret, Previous: v.Previous, PreviousUntil: v.Until, CreatedAt: v.CreatedAt,
		Generation: r.Generation,
	}
	return e, true, nil
}

// putRegistered is Put with a Registry.
func (o *Outbox) putRegistered(ctx context.Context, owner keys.Sum, id string, s Settings, secret string) (status Status, created bool, err error) {
	fresh := id == ""
	if fresh {
		id = "wh_" + strings.ToLower(rand.Text())
	}
	r, err := o.update(ctx, owner, id, func(now Registered) (Registered, error) {
		e, found, err := decodeRegistered(now)
		if err != nil {
			return Registered{}, err
		}
		s := s
		if err := s.unhide(e.Headers); err != nil {
			return Registered{}, err
		}
		if err := o.check(owner, &s); err != nil {
			return Registered{}, err
		}
		if created = !found; created {
			if err := CheckID(id); err != nil {
				return Registered{}, &SettingsError{err}
			}
			if err := o.roomFor(owner); err != nil {
				return Registered{}, err
			}
			e = Endpoint{ID: id, Owner: owner, Secret: cmp.Or(secret, NewSecret()), CreatedAt: time.Now().UTC().Truncate(time.Millisecond)}
		} else if secret != "" && secret != e.Secret {
			e.Previous, e.PreviousUntil, e.Secret = e.Secret, time.Now().Add(rotateFor), secret
		}
		e.Settings = s
		return encodeRegistered(e)
	})
	if err != nil {
		return Status{}, false, err
	}
	e, _, err := decodeRegistered(r)
	return o.registeredStatus(e), created, err
}

// update changes a registered endpoint, and applies that here at once.
func (o *Outbox) update(ctx context.Context, owner keys.Sum, id string, change func(now Registered) (Registered, error)) (Registered, error) {
	var mine error // of change, not of the Registry
	r, err := o.cfg.Registry.Update(ctx, registryName(owner, id), func(now Registered) (next Registered, err error) {
		next, mine = change(now)
		return next, mine
	})
	switch {
	case mine != nil:
		return Registered{}, mine
	case err != nil:
		return Registered{}, &RegistryError{err}
	}
	if o.stores() {
		if err := o.apply(ctx, r); err != nil { // followRegistry tries again
			o.log.Warn("webhook not applied yet", "webhook", id, "err", err)
		}
	}
	return r, nil
}

// roomFor returns [ErrTooMany] if a key can have no more registered endpoints.
func (o *Outbox) roomFor(owner keys.Sum) error {
	all, err := o.registeredEndpoints()
	if err != nil {
		return err
	}
	of := 0
	for _, e := range all {
		if e.Owner == owner {
			of++
		}
	}
	if of >= maxOfKey || len(all) >= maxOfAll {
		return ErrTooMany
	}
	return nil
}

// deleteRegistered is Delete with a Registry.
func (o *Outbox) deleteRegistered(ctx context.Context, owner keys.Sum, id string) error {
	_, err := o.update(ctx, owner, id, func(now Registered) (Registered, error) {
		if _, found, err := decodeRegistered(now); err != nil || !found {
			return Registered{}, cmp.Or(err, ErrNotFound)
		}
		return Registered{Removed: true}, nil
	})
	return err
}

// registeredEndpoints returns the endpoints in the Registry. It leaves out those that it can't read, and logs them.
func (o *Outbox) registeredEndpoints() ([]Endpoint, error) {
	entries, err := o.cfg.Registry.Endpoints()
	if err != nil {
		return nil, &RegistryError{err}
	}
	var all []Endpoint
	for _, r := range entries {
		e, found, err := decodeRegistered(r)
		if err != nil {
			o.log.Error("webhook can't be read", "err", err)
		} else if found {
			all = append(all, e)
		}
	}
	return all, nil
}

// listRegistered is list with a Registry.
func (o *Outbox) listRegistered(wanted func(Endpoint) bool) ([]Status, error) {
	endpoints, err := o.registeredEndpoints()
	if err != nil {
		return nil, err
	}
	all := []Status{}
	for _, e := range endpoints {
		if wanted(e) {
			all = append(all, o.registeredStatus(e))
		}
	}
	slices.SortStableFunc(all, byID)
	return all, nil
}

// registeredStatus returns the status of a registered endpoint. Where this node doesn't deliver, it knows only what the settings say.
func (o *Outbox) registeredStatus(e Endpoint) Status {
	if here := o.find(e.Owner, e.ID); here != nil && here.config.Load().Generation == e.Generation {
		return o.status(here)
	}
	s := Status{Endpoint: e, Elsewhere: true}
	c := &config{Endpoint: e}
	c.parsed, c.wrong = c.parse(o.cfg.Names)
	s.Stopped = o.stopped(c)
	return s
}

// stores reports whether this node has a store, so that it delivers.
func (o *Outbox) stores() bool { return o.cfg.Store.Path() != "" }
