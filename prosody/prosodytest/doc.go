// Package prosodytest runs a real Prosody on random loopback ports and fills
// its rooms with participants, for tests, benchmarks and the demo.
//
// The server is configured like docker-jitsi-meet's: a main host with anonymous
// login, hosts for the programs that serve a meeting (focus, recorders, SIP
// gateways), and separate domains for rooms, breakout rooms and lobbies. Small
// plugins of this package replace Jitsi's plugins that hide rooms, map tenant
// domains, and report rooms over HTTP; see Options.HideRooms and
// Options.DomainMapper.
//
// Nothing here mocks Prosody, and nothing uses the service's XMPP library:
// clients are a second, much smaller implementation that sends bytes as given.
// So a bug can't hide by being in both ends of a test, and a test can send
// anything that a hostile client could.
//
// The executable is "prosody" from PATH, or the one in the environment variable
// PPCH_TEST_PROSODY. Prosody 0.12 and 13 both work. The script fetch-prosody13
// in this folder provides the latter on systems that package the former.
package prosodytest
