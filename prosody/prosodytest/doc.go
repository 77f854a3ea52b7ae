// Package prosodytest starts a real Prosody on random loopback ports and fills
// its rooms with a cast of people, for tests, benchmarks and the demo.
//
// The server is shaped like the one of docker-jitsi-meet: a main host where
// anybody may log in, hosts for the programs that serve a meeting (focus,
// recorders, SIP gateways), and the rooms, breakout rooms and lobbies on their
// own domains. Two things that Jitsi adds to Prosody, the hiding of rooms and
// the mapping of tenant domains, are stood in for by small plugins written for
// this package; see Options.HideRooms and Options.DomainMapper. A third stands
// in for the modules of Jitsi that tell about rooms over HTTP.
//
// Nothing here mocks Prosody, and nothing here is built on the XMPP library
// that the service itself uses: the people are played by a second, much smaller
// implementation that sends bytes as they are given. So a fault shared by both
// ends of a test cannot hide itself, and a test may be as rude as a stranger.
//
// The executable is "prosody" from PATH; the environment variable
// PPCH_TEST_PROSODY names another. Prosody 0.12 and 13 both work; the script
// fetch-prosody13 in this folder makes the latter available on a system that
// packages the former.
package prosodytest
