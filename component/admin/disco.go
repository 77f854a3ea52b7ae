package admin

import (
	"encoding/xml"
	"slices"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/disco/info"
	"mellium.im/xmpp/disco/items"
	"mellium.im/xmpp/form"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/paging"
	"mellium.im/xmpp/stanza"
)

// discovery answers service discovery (XEP-0030) for the component and all its nodes.
//
// mellium's own handler has neither pages nor errors for unknown nodes.
// This one lists the features that mellium's mux finds in the other handlers.
type discovery struct{ handler *Handler }

func (h *Handler) handleDisco() mux.Option {
	return func(m *mux.ServeMux) {
		d := discovery{h}
		mux.IQ(stanza.GetIQ, xml.Name{Space: disco.NSInfo, Local: "query"}, d)(m)
		mux.IQ(stanza.GetIQ, xml.Name{Space: disco.NSItems, Local: "query"}, d)(m)
	}
}

// ForFeatures implements info.FeatureIter.
func (d discovery) ForFeatures(node string, f func(info.Feature) error) error {
	if node != "" {
		return nil
	}
	for _, ns := range []string{disco.NSInfo, disco.NSItems, paging.NS} {
		if err := f(info.Feature{Var: ns}); err != nil {
			return err
		}
	}
	return nil
}

// HandleIQ implements mux.IQHandler.
func (d discovery) HandleIQ(iq stanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	node := ""
	for _, a := range start.Attr {
		if a.Name.Space == "" && a.Name.Local == "node" {
			node = a.Value
		}
	}
	var answer xml.TokenReader
	var err error
	if start.Name.Space == disco.NSInfo {
		answer, err = d.info(node)
	} else {
		answer, err = d.items(node, t)
	}
	if refusal, ok := err.(stanza.Error); ok { //nolint:errorlint // our own errors aren't wrapped
		_, err = xmlstream.Copy(t, iq.Error(refusal))
		return err
	}
	if err != nil {
		return err
	}
	_, err = xmlstream.Copy(t, iq.Result(answer))
	return err
}

// facts are the disco#info of a node.
type facts struct {
	identities []info.Identity
	features   []info.Feature
	form       *form.Data
}

func (d discovery) info(node string) (xml.TokenReader, error) {
	facts, err := d.facts(node)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(facts.features, func(a, b info.Feature) int { return strings.Compare(a.Var, b.Var) })
	facts.features = slices.Compact(facts.features)
	var inner []xml.TokenReader
	for _, i := range facts.identities {
		inner = append(inner, i.TokenReader())
	}
	for _, f := range facts.features {
		inner = append(inner, f.TokenReader())
	}
	if facts.form != nil {
		inner = append(inner, facts.form.TokenReader())
	}
	return query(disco.NSInfo, node, inner...), nil
}

func (d discovery) facts(node string) (facts, error) {
	var all facts
	h := d.handler
	_ = h.mux.ForIdentities(node, func(i info.Identity) error {
		all.identities = append(all.identities, i)
		return nil
	})
	_ = h.mux.ForFeatures(node, func(i info.Feature) error {
		all.features = append(all.features, i)
		return nil
	})
	if node == "" {
		all.identities = append(all.identities, info.Identity{Category: "component", Type: "generic", Name: "PPCH: rooms and their participants"})
		all.form = h.totalsForm()
	}
	if len(all.identities) > 0 {
		return all, nil
	}
	p, err := h.place(node)
	if err != nil {
		return facts{}, err
	}
	all.identities = []info.Identity{p.identity()}
	all.features = []info.Feature{{Var: disco.NSInfo}, {Var: disco.NSItems}, {Var: paging.NS}}
	all.form = p.form()
	return all, nil
}

func (d discovery) items(node string, t xml.TokenReader) (xml.TokenReader, error) {
	asked, err := readSet(t)
	if err != nil {
		return nil, err
	}
	var all []items.Item
	_ = d.handler.mux.ForItems(node, func(i items.Item) error {
		all = append(all, i)
		return nil
	})
	if len(all) == 0 {
		if all, err = d.handler.browse(node); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(a, b items.Item) int { return compareNodes(a.Node, b.Node) })
	part, set := asked.cut(all)
	var inner []xml.TokenReader
	for _, i := range part {
		inner = append(inner, i.TokenReader())
	}
	if set != nil {
		inner = append(inner, set)
	}
	return query(disco.NSItems, node, inner...), nil
}

func query(ns, node string, inner ...xml.TokenReader) xml.TokenReader {
	start := xml.StartElement{Name: xml.Name{Space: ns, Local: "query"}}
	if node != "" {
		start.Attr = []xml.Attr{{Name: xml.Name{Local: "node"}, Value: node}}
	}
	return xmlstream.Wrap(xmlstream.MultiReader(inner...), start)
}

// refuse returns a stanza error with a text for people.
func refuse(typ stanza.ErrorType, condition stanza.Condition, text string) stanza.Error {
	return stanza.Error{Type: typ, Condition: condition, Text: map[string]string{"": text}}
}
