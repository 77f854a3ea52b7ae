package admin

import (
	"encoding/xml"
	"strconv"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/disco/info"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
)

// nsLast is the namespace of last activity; that of a component is its uptime (XEP-0012 §6).
const nsLast = "jabber:iq:last"

// uptime answers how long the program has run.
type uptime struct{ began time.Time }

func handleUptime(began time.Time) mux.Option {
	return mux.IQ(stanza.GetIQ, xml.Name{Space: nsLast, Local: "query"}, uptime{began})
}

// HandleIQ implements mux.IQHandler.
func (u uptime) HandleIQ(iq stanza.IQ, t xmlstream.TokenReadEncoder, _ *xml.StartElement) error {
	seconds := strconv.FormatInt(int64(time.Since(u.began).Seconds()), 10)
	_, err := xmlstream.Copy(t, iq.Result(xmlstream.Wrap(nil, xml.StartElement{
		Name: xml.Name{Space: nsLast, Local: "query"},
		Attr: []xml.Attr{{Name: xml.Name{Local: "seconds"}, Value: seconds}},
	})))
	return err
}

// ForFeatures implements info.FeatureIter.
func (uptime) ForFeatures(node string, f func(info.Feature) error) error {
	return only{info.Feature{Var: nsLast}}.ForFeatures(node, f)
}

// only lists one feature of the component itself.
type only struct{ feature info.Feature }

// ForFeatures implements info.FeatureIter.
func (o only) ForFeatures(node string, f func(info.Feature) error) error {
	if node != "" {
		return nil
	}
	return f(o.feature)
}
