package component_test

import "strings"

// hostile are stanzas that any guest of a Jitsi can send to the component, each of which ends, or could end, a naive session.
// {to} stands for the component, {id} for an id.
// answer is the condition that the sender must be told; empty where nothing may come back from us.
// prosody is set where Prosody itself answers a client's stanza, so that it never reaches us from one.
var hostile = []struct {
	name    string
	xml     string
	answer  string
	prosody bool
}{
	{"a get without a payload", `<iq type='get' id='{id}' to='{to}'/>`, "bad-request", true},
	{"a set without a payload", `<iq type='set' id='{id}' to='{to}'/>`, "bad-request", true},
	{"a get with two payloads", `<iq type='get' id='{id}' to='{to}'><a xmlns='x'/><b xmlns='x'/></iq>`, "bad-request", true},
	{"a get with text only", `<iq type='get' id='{id}' to='{to}'>hello</iq>`, "bad-request", true},
	{"a get with text before its payload", `<iq type='get' id='{id}' to='{to}'>hello<ping xmlns='urn:xmpp:ping'/></iq>`, "bad-request", false},
	{"a get with text behind its payload", `<iq type='get' id='{id}' to='{to}'><ping xmlns='urn:xmpp:ping'/>hello</iq>`, "bad-request", false},
	{"a get of something unknown", `<iq type='get' id='{id}' to='{to}'><x xmlns='urn:example:unknown'/></iq>`, "service-unavailable", false},
	{"a get to an invented account", `<iq type='get' id='{id}' to='someone@{to}/here'><x xmlns='urn:example:unknown'/></iq>`, "service-unavailable", false},
	{"a set of something unknown", `<iq type='set' id='{id}' to='{to}'><x xmlns='urn:example:unknown'/></iq>`, "service-unavailable", false},
	{"a result nobody asked for", `<iq type='result' id='{id}' to='{to}'/>`, "", false},
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

// stanza fills in a hostile stanza.
func hostileStanza(xml, to, id string) string {
	return strings.NewReplacer("{to}", to, "{id}", id).Replace(xml)
}
