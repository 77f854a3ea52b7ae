package componenttest

import "strings"

// HostileStanza is a stanza that can end a naive session. {to} stands for the component, {id} for an id.
type HostileStanza struct {
	Name string
	XML  string

	// Condition is the condition of the error that the sender must get; empty if the component may send nothing.
	Condition string

	// Prosody is whether Prosody itself answers the stanza of a client, so that the component never gets it.
	Prosody bool
}

// Fill fills in a template of a stanza.
func Fill(xml, to, id string) string {
	return strings.NewReplacer("{to}", to, "{id}", id).Replace(xml)
}

// Hostile are stanzas that any guest of a Jitsi can send to a component.
var Hostile = []HostileStanza{
	{"a get without a payload", `<iq type='get' id='{id}' to='{to}'/>`, "bad-request", true},
	{"a set without a payload", `<iq type='set' id='{id}' to='{to}'/>`, "bad-request", true},
	{"a get with two payloads", `<iq type='get' id='{id}' to='{to}'><a xmlns='x'/><b xmlns='x'/></iq>`, "bad-request", true},
	{"a get with text only", `<iq type='get' id='{id}' to='{to}'>hello</iq>`, "bad-request", true},
	{"a get with text before its payload", `<iq type='get' id='{id}' to='{to}'>hello<ping xmlns='urn:xmpp:ping'/></iq>`, "bad-request", false},
	{"a get with text behind its payload", `<iq type='get' id='{id}' to='{to}'><ping xmlns='urn:xmpp:ping'/>hello</iq>`, "bad-request", false},
	{"a get of something unknown", `<iq type='get' id='{id}' to='{to}'><x xmlns='urn:example:unknown'/></iq>`, "service-unavailable", false},
	{"a get to an invented account", `<iq type='get' id='{id}' to='someone@{to}/here'><x xmlns='urn:example:unknown'/></iq>`, "service-unavailable", false},
	{"a set of something unknown", `<iq type='set' id='{id}' to='{to}'><x xmlns='urn:example:unknown'/></iq>`, "service-unavailable", false},
	{"an unsolicited result", `<iq type='result' id='{id}' to='{to}'/>`, "", false},
	{"a result with text only", `<iq type='result' id='{id}' to='{to}'>hello</iq>`, "", false},
	{"an error without a payload", `<iq type='error' id='{id}' to='{to}'/>`, "", true},
	{"an error with text only", `<iq type='error' id='{id}' to='{to}'>hello</iq>`, "", true},
	{"an error with an odd payload", `<iq type='error' id='{id}' to='{to}'><error><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>x</gone></error></iq>`, "", false},
	{"a stream error inside a get", `<iq type='get' id='{id}' to='{to}'><error xmlns='http://etherx.jabber.org/streams'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error></iq>`, "service-unavailable", false},
	{"a stream inside a get", `<iq type='get' id='{id}' to='{to}'><stream xmlns='http://etherx.jabber.org/streams'/></iq>`, "service-unavailable", false},
	{"an unknown stream element deep inside a message", `<message id='{id}' to='{to}'><a xmlns='x'><b><c xmlns='http://etherx.jabber.org/streams'/></b></a></message>`, "", false},
	{"the end of a stream inside a presence", `<presence to='{to}'><x:stream xmlns:x='http://etherx.jabber.org/streams'>x</x:stream></presence>`, "", false},
	{"attributes that look like type and id", `<iq type='get' id='{id}' to='{to}' xmlns:x='urn:x' x:type='result' x:id='other'><x xmlns='urn:example:unknown'/></iq>`, "service-unavailable", false},
	{"an attribute that looks like from", `<iq type='get' id='{id}' to='{to}' xmlns:x='urn:x' x:from='&#xd7ff;@@'><x xmlns='urn:example:unknown'/></iq>`, "service-unavailable", false},
	{"an id full of quotes", `<iq type='get' id='&apos;&quot;&lt;&gt;&amp;{id}' to='{to}'><x xmlns='urn:example:unknown'/></iq>`, "service-unavailable", false},
	{"an element of the xml namespace", `<iq type='get' id='{id}' to='{to}'><xml:x/></iq>`, "service-unavailable", false},
	{"the end of a CDATA section in text", `<message id='{id}' to='{to}'><body>]]&gt; &amp;#0; &lt;!-- --&gt;</body></message>`, "", false},
	{"characters at the edge of XML", "<message id='{id}' to='{to}'><body>\ufffd\U0001fffe\U0010ffff\u0085\u2028&#13;&#9;</body></message>", "", false},
	{"a body in many languages", `<message id='{id}' to='{to}' xml:lang='x-` + strings.Repeat("y", 200) + `'><body>&#x202e;Привет &#x1F600;</body></message>`, "", false},
	{"a headline that is empty", `<message type='headline' id='{id}' to='{to}'/>`, "", false},
	{"a message of type error", `<message type='error' id='{id}' to='{to}'><body/></message>`, "", false},
	{"a groupchat message to an account", `<message type='groupchat' id='{id}' to='room@{to}/nick'><body>x</body></message>`, "", false},
	{"a subscription", `<presence type='subscribe' id='{id}' to='someone@{to}'/>`, "", false},
	{"a probe", `<presence type='probe' id='{id}' to='{to}'/>`, "", false},
	{"a presence of no known type", `<presence type='frobnicate' id='{id}' to='{to}'/>`, "", false},
	{"a presence with a broken priority", `<presence id='{id}' to='{to}'><priority>NaN</priority><show>xx</show></presence>`, "", false},
	{"a join", `<presence id='{id}' to='room@{to}/nick'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, "", false},
	{"a payload nested 5,000 deep", `<iq type='get' id='{id}' to='{to}'>` + strings.Repeat("<a xmlns='x'>", 1) + strings.Repeat("<a>", 5000) + strings.Repeat("</a>", 5001) + `</iq>`, "service-unavailable", false},
	{"a payload with 8,000 children", `<iq type='get' id='{id}' to='{to}'><x xmlns='x'>` + strings.Repeat("<a/>", 8000) + `</x></iq>`, "", false},
	{"a long text of quotes, which grows six-fold on the way", `<iq type='set' id='{id}' to='{to}'><x xmlns='x'>` + strings.Repeat("&quot;", 30000) + `</x></iq>`, "", false},
	{"a long namespace, which is repeated on the way", `<iq type='set' id='{id}' to='{to}'><x xmlns='x' xmlns:p='` + strings.Repeat("u", 2000) + `'>` + strings.Repeat("<p:a/>", 1000) + `</x></iq>`, "policy-violation", false},
}

// HostileByAdmin are stanzas that an admin's client can send. A Condition may also be part of a result.
var HostileByAdmin = []HostileStanza{
	{"a command without a node", command("", ""), "item-not-found", false},
	{"a command of a node full of specials", command(" node='&lt;&amp;&apos;&quot;&#x202e;'", ""), "item-not-found", false},
	{"an action that isn't one", command(" node='rooms' action='&lt;'", ""), "malformed-action", false},
	{"a session that was guessed", command(" node='rooms' sessionid='AAAAAAAAAAAAAAAAAAAAAAAAAA' action='complete'", ""), "bad-sessionid", false},
	{"a session of 100,000 letters", command(" node='rooms' sessionid='"+strings.Repeat("A", 100_000)+"'", ""), "bad-sessionid", false},
	{"a form with an unknown child", command(" node='rooms'", "<x xmlns='jabber:x:data' type='submit'><reported/><item/></x>"), "bad-payload", false},
	{"a form of no known type", command(" node='rooms'", "<x xmlns='jabber:x:data' type='frobnicate'/>"), "bad-payload", false},
	{"a form within a form", command(" node='rooms'", "<x xmlns='jabber:x:data' type='submit'><x xmlns='jabber:x:data' type='submit'/></x>"), "bad-payload", false},
	{"a form with 5,000 fields", command(" node='rooms'", "<x xmlns='jabber:x:data' type='submit'>"+strings.Repeat("<field var='x'><value>y</value></field>", 5000)+"</x>"), "", false},
	{"a command in a get", strings.Replace(command(" node='rooms'", ""), "'set'", "'get'", 1), "service-unavailable", false},
	{"disco with two pages", `<iq type='get' id='{id}' to='{to}'><query xmlns='http://jabber.org/protocol/disco#items'><set xmlns='http://jabber.org/protocol/rsm'/><set xmlns='http://jabber.org/protocol/rsm'/></query></iq>`, "bad-request", false},
	{"disco with text and children", `<iq type='get' id='{id}' to='{to}'><query xmlns='http://jabber.org/protocol/disco#info'>x<y/></query></iq>`, "type='result'", false},
	{"disco of a node of 100,000 letters", `<iq type='get' id='{id}' to='{to}'><query xmlns='http://jabber.org/protocol/disco#info' node='` + strings.Repeat("a", 100_000) + `'/></iq>`, "item-not-found", false},
	{"disco of a room without a valid address", `<iq type='get' id='{id}' to='{to}'><query xmlns='http://jabber.org/protocol/disco#info' node='&lt;&#xd7ff;&#x202e;@muc.meet.jitsi'/></iq>`, "item-not-found", false},
	{"disco of another address of ours", `<iq type='get' id='{id}' to='someone@{to}/x'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`, "service-unavailable", false},
	{"a set of disco", `<iq type='set' id='{id}' to='{to}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`, "service-unavailable", false},
	{"a batch as only the module may send", `<iq type='set' id='{id}' to='{to}'><batch xmlns='urn:ppch:occupancy:1' epoch='x' seq='1' at='1'/></iq>`, "service-unavailable", false},
	{"a chat of 100,000 letters", `<message type='chat' id='{id}' to='{to}'><body>room ` + strings.Repeat("x", 100_000) + `</body></message>`, "", false},
	{"a chat with two bodies", `<message type='chat' id='{id}' to='{to}'><body>help</body><body>help</body><body xmlns='x'>help</body></message>`, "", false},
	{"a chat full of specials", `<message type='chat' id='{id}' to='{to}'><body>room &lt;&amp;&apos;&quot;]]&gt;&#x202e;&#xfffd;</body><thread>&lt;</thread></message>`, "", false},
	{"a presence to an impossible room", `<presence id='{id}' to='a%00b@{to}'/>`, "", false},
	{"a presence that would be a join", `<presence id='{id}' to='planning@{to}/x'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, "", false},
	{"a bounced message", `<message type='error' id='{id}' to='{to}'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`, "", false},
}

// command is an IQ with a command.
func command(attributes, inside string) string {
	return `<iq type='set' id='{id}' to='{to}'><command xmlns='http://jabber.org/protocol/commands'` + attributes + `>` + inside + `</command></iq>`
}
