-- What "ppch jitsi install" writes to docker-jitsi-meet, with the secret of the demo.
component_ports = { 5347 }
component_interfaces = { "*" }
room_participants_hidden_domains = { "hidden.meet.jitsi" }
Component "ppch.meet.jitsi"
    component_secret = ENV_PPCH_COMPONENT_SECRET
    component_conflict_resolve = "kick_old"
