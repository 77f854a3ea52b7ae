package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/mux"
)

func TestThePathsOfRoomsAreMatchedAsTheirTemplatesWouldBe(t *testing.T) {
	routed := start(t).Router()
	templates := mux.NewRouter().UseEncodedPath().SkipClean(true)
	if err := routed.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		methods, err := route.GetMethods()
		templates.Path(route.GetName()).Methods(methods...).Name(route.GetName()).Handler(http.NotFoundHandler())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	find := func(router *mux.Router, r *http.Request) (name, room string) {
		var match mux.RouteMatch
		if !router.Match(r, &match) || match.Route == nil {
			return "", ""
		}
		return match.Route.GetName(), match.Vars["room_name"]
	}
	for _, path := range []string{
		"/api/rooms", "/api/rooms/", "/api/rooms//", "/api/rooms/daily", "/api/rooms/daily/", "/api/rooms//daily", "/api/room/daily",
		"/api/rooms/daily/participants", "/api/rooms/daily/participants/", "/api/rooms//participants", "/api/rooms/participants",
		"/api/rooms/participants/participants", "/api/rooms/a/b/participants", "/api/rooms/a%2Fb/participants", "/api/rooms/a%2fb",
		"/api/rooms/daily/events", "/api/rooms/events", "/api/rooms/daily/Participants", "/api/rooms/daily%2Fparticipants", "/API/rooms/daily",
		"/api/rooms/%E2%98%83%0A/participants", "/api/rooms/%FF", "/api/rooms/a@muc.meet.jitsi/participants", "/x/api/rooms/daily/participants",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			r := httptest.NewRequest(method, path, nil)
			gotName, gotRoom := find(routed, r)
			wantName, wantRoom := find(templates, r)
			if diff := cmp.Diff([]string{wantName, wantRoom}, []string{gotName, gotRoom}); diff != "" {
				t.Errorf("%s %s: - template, + route:\n%s", method, path, diff)
			}
		}
	}
}
