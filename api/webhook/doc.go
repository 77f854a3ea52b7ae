// Package webhook delivers events to receivers of HTTP: which events an endpoint receives, in which format, signed with its secret,
// and the client that sends them without reaching where it must not.
//
// The events of a batch and what each endpoint is to receive of them are written in one transaction of the store.
// From then on an event is delivered at least once or reported as failed, in order for each endpoint and room.
// A receiver recognises repeats by the event's id, which every attempt carries.
package webhook
