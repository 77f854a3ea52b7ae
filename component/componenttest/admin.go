package componenttest

// AdminQuestions returns an IQ for everything that an admin can ask a component. {to} stands for the component, {id} for an id.
func AdminQuestions() (all []string) {
	add := func(typ, payload string) {
		all = append(all, "<iq type='"+typ+"' id='{id}' to='{to}'>"+payload+"</iq>")
	}
	for _, node := range []string{
		"", "muc.meet.jitsi", "muc.meet.jitsi/[acme]", "planning@muc.meet.jitsi", "planning@muc.meet.jitsi/focus",
		"http://jabber.org/protocol/commands", "rooms", "nothing",
	} {
		if node != "" {
			node = " node='" + node + "'"
		}
		add("get", "<query xmlns='http://jabber.org/protocol/disco#info'"+node+"/>")
		add("get", "<query xmlns='http://jabber.org/protocol/disco#items'"+node+"/>")
	}
	for _, payload := range []string{
		"<query xmlns='jabber:iq:last'/>", "<query xmlns='jabber:iq:version'/>", "<time xmlns='urn:xmpp:time'/>", "<ping xmlns='urn:xmpp:ping'/>",
	} {
		add("get", payload)
	}
	for _, command := range []string{"rooms", "room", "statistics", "domains", "resync", "diagnostics", "watch", "unwatch", "nothing"} {
		add("set", "<command xmlns='http://jabber.org/protocol/commands' node='"+command+"'/>")
	}
	return all
}

// AdminOthers are the stanzas other than queries that an admin can send to a component.
var AdminOthers = []string{
	"<message type='chat' to='{to}' id='{id}'><body>help</body></message>",
	"<message to='{to}' id='{id}'><body>rooms</body></message>",
	"<message type='chat' to='{to}' id='{id}'><body>watch all</body></message>",
	"<message type='groupchat' to='{to}' id='{id}'><body>rooms</body></message>",
	"<message type='chat' to='someone@{to}' id='{id}'><body>rooms</body></message>",
	"<presence to='{to}' id='{id}'/>",
	"<presence to='planning@{to}' id='{id}'/>",
	"<presence to='planning@{to}/nick' id='{id}'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
	"<presence type='subscribe' to='{to}' id='{id}'/>",
	"<presence type='unavailable' to='{to}' id='{id}'/>",
}
