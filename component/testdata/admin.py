"""An admin with slixmpp: browses, pages, runs each command, chats and watches.

usage: admin.py PORT JID PASSWORD COMPONENT

Prints one line for each thing it sees; the test compares them.
"""

import asyncio
import sys

import slixmpp
from slixmpp.exceptions import IqError
from slixmpp.plugins import xep_0082


class Admin(slixmpp.ClientXMPP):
    def __init__(self, jid, password, component):
        super().__init__(jid, password, plugin_config={"feature_mechanisms": {"unencrypted_plain": True}})
        self.component = component
        self.messages = asyncio.Queue()
        self.result = self.loop.create_future()
        for plugin in ("xep_0004", "xep_0012", "xep_0030", "xep_0050", "xep_0059", "xep_0092", "xep_0199", "xep_0202"):
            self.register_plugin(plugin)
        self.add_event_handler("session_start", self.start)
        self.add_event_handler("message", lambda m: self.messages.put_nowait(m["body"]))
        self.add_event_handler("failed_auth", lambda _: self.result.set_exception(SystemExit("login failed")))

    async def start(self, _):
        try:
            self.send_presence()
            await self.citizen()
            await self.browse()
            await self.commands()
            await self.talk()
            self.result.set_result(None)
        except BaseException as e:  # main raises it
            self.result.set_exception(e)

    async def citizen(self):
        info = (await self["xep_0030"].get_info(jid=self.component))["disco_info"]
        print("identity:", sorted((i[0], i[1]) for i in info["identities"]))
        print("features:", sorted(info["features"]))
        print("form:", info.xml.find("{jabber:x:data}x") is not None)
        version = await self["xep_0092"].get_version(self.component)
        print("version:", version["software_version"]["name"])
        print("uptime:", (await self["xep_0012"].get_last_activity(self.component))["last_activity"]["seconds"] >= 0)
        # Its own accessor puts a second Z behind the time and then can't read it.
        time = (await self["xep_0202"].get_entity_time(self.component))["entity_time"]
        print("time:", xep_0082.parse(time.xml.findtext("{urn:xmpp:time}utc")) is not None)
        print("ping:", await self["xep_0199"].ping(self.component) is not None)

    async def items(self, node):
        answer = await self["xep_0030"].get_items(jid=self.component, node=node)
        return sorted((node, name) for _, node, name in answer["disco_items"]["items"])

    async def browse(self):
        for node in ("", "muc.meet.jitsi", "muc.meet.jitsi/[acme]"):
            for _, name in await self.items(node):
                print("browse", node + ":", name)
        inside = await self.items("planning@muc.meet.jitsi")
        print("browse planning:", len(inside), sorted(name for _, name in inside if name.endswith("person")))
        pages = []
        found = await self["xep_0030"].get_items(jid=self.component, node="breakout.meet.jitsi", iterator=True)
        found.amount = 7
        async for page in found:
            pages.append(len(page["disco_items"]["items"]))
        print("pages:", pages)
        try:
            await self.items("nothing")
        except IqError as e:
            print("no such node:", e.condition)

    async def commands(self):
        listed = await self["xep_0050"].get_commands(self.component)
        print("commands:", sorted(node for _, node, _ in listed["disco_items"]["items"]))
        await self.run("rooms", {"domain": "muc.meet.jitsi"})
        await self.run("room", {"text": "plan"}, {"room": "planning@muc.meet.jitsi"})
        await self.run("statistics")
        await self.run("domains")
        await self.run("diagnostics")
        await self.run("watch", {"text": "planning"}, {"room": "planning@muc.meet.jitsi"})
        await self.run("unwatch")
        await self.run("resync", {"domain": "lobby.meet.jitsi"})
        await self.run("rooms", None)

    async def run(self, node, *forms):
        """Goes through a command, filling in one form after the other; None cancels."""
        step = (await self["xep_0050"].send_command(self.component, node))["command"]
        for values in forms:
            if values is None:
                step = (await self["xep_0050"].send_command(self.component, node, action="cancel", sessionid=step["sessionid"]))["command"]
                continue
            form = step["form"]
            unknown = set(values) - set(form.get_fields())
            if unknown:
                raise SystemExit(f"{node}: the form has no {unknown}")
            form["type"] = "submit"
            form["values"] = values
            action = "complete" if "complete" in step["actions"] else "next"
            step = (await self["xep_0050"].send_command(
                self.component, node, action=action, payload=form, sessionid=step["sessionid"]))["command"]
        print(f"run {node}:", step["status"], [text for _, text in step["notes"]])
        for x in step.xml.findall("{jabber:x:data}x"):
            form = self["xep_0004"].stanza.Form(xml=x)
            for item in form["items"] or []:
                print("   ", " | ".join(str(v) for v in item.values() if v))

    async def talk(self):
        for body in ("room planning", "watch planning"):
            self.send_message(mto=self.component, mbody=body, mtype="chat")
            print("chat:", (await asyncio.wait_for(self.messages.get(), 10)).splitlines()[0])
        print("READY", flush=True)
        print("report:", await asyncio.wait_for(self.messages.get(), 30))


def main():
    port, jid, password, component = sys.argv[1:]
    admin = Admin(jid, password, component)
    admin.connect(address=("127.0.0.1", int(port)), disable_starttls=True, use_ssl=False)
    admin.loop.run_until_complete(asyncio.wait_for(admin.result, 60))
    admin.disconnect()
    admin.loop.run_until_complete(asyncio.wait_for(admin.disconnected, 5))


main()
