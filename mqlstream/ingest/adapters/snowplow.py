"""Snowplow's enriched events: the 131 columns of TSV, and the JSON that its analytics SDKs make of them.

Column names and their order from https://docs.snowplow.io/docs/fundamentals/canonical-event/ and
https://github.com/snowplow/snowplow-python-analytics-sdk; the JSON form from https://docs.snowplow.io/docs/destinations/analytics-sdk/.
Only the columns that are used are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from mqlstream.core.outcome import Reason
from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Option, Parts, Skip, an_object, json_object, json_value, parts_of
from mqlstream.ingest.adapters.values import at, email_in, listed, needed, of_types, text, told, utc_ms
from mqlstream.ingest.fields import Refused

EVENT_TYPES = {"page_view": "web_visit", "struct": "activity", "unstruct": "activity", "transaction": "activity"}
PASSED_OVER = {"page_ping": "a heartbeat of a page that was viewed", "transaction_item": "part of a transaction"}
SUBMIT_FORM = "submit_form"  # the event_name of a form that was sent
_COLUMNS = """
app_id platform etl_tstamp collector_tstamp dvce_created_tstamp event event_id txn_id name_tracker v_tracker v_collector v_etl user_id
user_ipaddress user_fingerprint domain_userid domain_sessionidx network_userid geo_country geo_region geo_city geo_zipcode geo_latitude
geo_longitude geo_region_name ip_isp ip_organization ip_domain ip_netspeed page_url page_title page_referrer page_urlscheme page_urlhost
page_urlport page_urlpath page_urlquery page_urlfragment refr_urlscheme refr_urlhost refr_urlport refr_urlpath refr_urlquery
refr_urlfragment refr_medium refr_source refr_term mkt_medium mkt_source mkt_term mkt_content mkt_campaign contexts se_category se_action
se_label se_property se_value unstruct_event tr_orderid tr_affiliation tr_total tr_tax tr_shipping tr_city tr_state tr_country ti_orderid
ti_sku ti_name ti_category ti_price ti_quantity pp_xoffset_min pp_xoffset_max pp_yoffset_min pp_yoffset_max useragent br_name br_family
br_version br_type br_renderengine br_lang br_features_pdf br_features_flash br_features_java br_features_director br_features_quicktime
br_features_realplayer br_features_windowsmedia br_features_gears br_features_silverlight br_cookies br_colordepth br_viewwidth
br_viewheight os_name os_family os_manufacturer os_timezone dvce_type dvce_ismobile dvce_screenwidth dvce_screenheight doc_charset
doc_width doc_height tr_currency tr_total_base tr_tax_base tr_shipping_base ti_currency ti_price_base base_currency geo_timezone
mkt_clickid mkt_network etl_tags dvce_sent_tstamp refr_domain_userid refr_device_tstamp derived_contexts domain_sessionid derived_tstamp
event_vendor event_name event_format event_version event_fingerprint true_tstamp
"""
_USED = """
collector_tstamp event event_id user_id domain_userid network_userid page_url page_title page_referrer se_category se_action se_label
se_property se_value unstruct_event tr_orderid tr_total useragent derived_contexts domain_sessionid derived_tstamp event_name
"""
COLUMNS = tuple(_COLUMNS.split())  # of a line, in their order
USED = tuple(_USED.split())
BROWSER = (("url", "page_url"), ("user_agent", "useragent"), ("session_id", "domain_sessionid"))
PAGE = (*BROWSER, ("title", "page_title"), ("referrer", "page_referrer"))
_used = itemgetter(*map(COLUMNS.index, USED))
_ROBOT = ('"spiderOrRobot":true', '"spiderOrRobot": true', '"deviceClass":"Robot', '"deviceClass": "Robot')
_IAB = "contexts_com_iab_snowplow_spiders_and_robots_1"
_YAUAA = "contexts_nl_basjes_yauaa_context_1"


def _open(value: bytes, headers: Headers, options: Any) -> Parts:
    if value[:1] in (b"{", b"["):
        found = json_value(value)
        return parts_of(found, "") if type(found) is list else Parts((an_object(found),))
    return Parts((_line(value),))


def _line(value: bytes) -> dict[str, Any]:
    """The columns of a line that are used, empty texts among them."""
    number = len(COLUMNS)
    cells = value.rstrip(b"\r\n").decode(errors="replace").split("\t", number)
    if len(cells) != number:
        got = f"value: got a line of {len(cells)} columns"
        raise Refused(Reason.BAD_FIELD, f"{got}, expected JSON or {number} columns with tabs between them")
    found: dict[str, Any] = dict(zip(USED, _used(cells), strict=True))
    contexts, data = found["derived_contexts"], found["unstruct_event"]
    found["robot"] = contexts != "" and any(mark in contexts for mark in _ROBOT)
    found["unstruct_event"] = at(json_object(data.encode(errors="replace"), "unstruct_event"), "data", "data") if data else None
    return found


def _read(item: Any, shared: Any, options: Mapping[str, Any]) -> Found:
    event = an_object(item)
    get = event.get
    kind = of_types("event", get("event"), EVENT_TYPES, PASSED_OVER)
    if type(kind) is Skip:
        return kind
    user = text(get("user_id"))
    page = kind == "web_visit"
    found = {
        "kind": kind,
        "id": needed("event_id", get("event_id"), "the event's id"),
        "time": utc_ms("derived_tstamp", get("derived_tstamp") or get("collector_tstamp")),
        "email": email_in(user),
        "machine": True if _robot(event) else None,
    }
    visitor = text(get("domain_userid") or get("network_userid"))
    if user is not None:
        found["user_id"] = user
    if visitor is not None:
        found["anonymous_id"] = visitor
    found |= {name: value for name, column in (PAGE if page else BROWSER) if (value := get(column))}
    return found if page else found | _activity(event, options)


def _activity(event: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Name and properties; a form that was sent is a form fill."""
    get = event.get
    if get("event") == "struct":
        columns = {"category": "se_category", "label": "se_label", "property": "se_property", "value": "se_value"}
        properties = {name: value for name, column in columns.items() if (value := get(column)) is not None and value != ""}
        return {"name": needed("se_action", get("se_action"), "what was done"), "properties": properties}
    if get("event") == "transaction":
        return {"name": "transaction", "properties": told(order=get("tr_orderid") or None, total=get("tr_total") or None)}
    name = needed("event_name", get("event_name"), "the name of the event's schema")
    data = get("unstruct_event")
    if data is None:
        data = next((value for key, value in event.items() if key[:15] == "unstruct_event_"), None)
    if name == SUBMIT_FORM:
        elements = {key: one.get("value") for one in listed(at(data, "elements")) if (key := text(at(one, "name"))) is not None}
        address = email_in(elements.get(options.get("email_field", "email")))
        return told(kind="form_fill", form=text(at(data, "formId")) or "form", fields=elements, email=address)
    return {"name": name, "properties": data}


def _robot(event: dict[str, Any]) -> bool:
    marked = event.get("robot")  # of a line of TSV
    if marked is not None:
        return marked is True
    if _IAB in event and any(at(one, "spiderOrRobot") is True for one in listed(event[_IAB])):
        return True
    return _YAUAA in event and any((text(at(one, "deviceClass")) or "").startswith("Robot") for one in listed(event[_YAUAA]))


SNOWPLOW = Adapter(
    name="snowplow",
    title="Snowplow (enriched)",
    pages=(
        "https://docs.snowplow.io/docs/fundamentals/canonical-event/",
        "https://docs.snowplow.io/docs/destinations/analytics-sdk/",
    ),
    takes="one line of enriched TSV, or the analytics SDK's JSON (one object or a list)",
    kinds=("web_visit", "activity", "form_fill"),
    identity="a `user_id` that is an address, or the form element `email`; `user_id` is the user id, `domain_userid` (else "
    "`network_userid`) the visitor",
    event_id="`event_id`",
    time="`derived_tstamp`, else `collector_tstamp`: UTC; in TSV it doesn't say so",
    machine="the enrichments' contexts: IAB `spiderOrRobot`, YAUAA `deviceClass` `Robot...`; `useragent` is kept as `user_agent`",
    ignored="`page_ping transaction_item`; all columns that are not named here",
    checked="the 131 columns and their order against the list in Snowplow's own analytics SDK for Python, which also makes the JSON form; "
    "forms and the enrichments' contexts against their schemas in Iglu Central",
    notes="`page_view` is a web visit, `struct` an activity named by `se_action`, `unstruct` one named by `event_name` with its data "
    "as `properties`, `submit_form` a form fill.",
    options=(Option("email_field", "text", "The element of forms that holds the email address; by default `email`.", "work_email"),),
    open=_open,
    read=_read,
)
