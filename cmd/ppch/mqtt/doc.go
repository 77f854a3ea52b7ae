// Package mqtt publishes the numbers of people in rooms to an MQTT 5 broker, and describes them to Home Assistant.
//
// A number on a broker outlives the program that published it, so each one is guarded three times: by a topic that says whether
// it is current, by a last will that the broker publishes if the program vanishes, and by an expiry
// after which the broker drops it, should the broker itself have been away.
package mqtt
