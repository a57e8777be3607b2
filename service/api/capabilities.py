"""Retrieve Capabilities: what the DICOMweb service answers, as WADL made of its own routes. PS3.18 8.9."""

from collections.abc import Iterator, Mapping
from typing import cast
from xml.etree.ElementTree import Element, SubElement, tostring

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from pacs_gateway.frames import MEDIA_TYPES, OCTETS
from pacs_gateway.rendering import FORMATS
from service.api import drawings, qido, stow, wado
from service.api.accepting import accepted
from service.api.access import SignedIn
from service.api.problems import responses
from service.api.qido import MEDIA_TYPE as JSON
from service.descriptions import DICOMWEB
from service.errors import NotAcceptable

router = APIRouter(tags=["dicomweb"], responses=responses(401, 403, 406))

WADL = "application/vnd.sun.wadl+xml"
NAMESPACE = "http://wadl.dev.java.net/2009/02"
ACCEPTABLE = frozenset({WADL, "application/xml", "application/*", "*/*"})
SEARCH_PARAMETERS = ("limit", "offset", "includefield", "fuzzymatching")
"""Beside the attributes themselves, by keyword or tag. PS3.18 table 8.3.4-1."""
STORED, ALONE = 'multipart/related; type="application/dicom"', "application/dicom"
FRAMES = tuple(f'multipart/related; type="{kind}"' for kind in (OCTETS, *sorted(set(MEDIA_TYPES.values()))))
ANSWERS: Mapping[str, tuple[str, ...]] = {
    "find_studies": (JSON,),
    "find_series": (JSON,),
    "find_series_of_study": (JSON,),
    "find_instances": (JSON,),
    "find_instances_of_study": (JSON,),
    "find_instances_of_series": (JSON,),
    "retrieve_study": (STORED,),
    "retrieve_series": (STORED,),
    "retrieve_instance": (STORED, ALONE),
    "study_metadata": (JSON,),
    "series_metadata": (JSON,),
    "instance_metadata": (JSON,),
    "retrieve_frames": FRAMES,
    "bulk_data": FRAMES[:1],
    "rendered_instance": tuple(FORMATS),
    "rendered_frame": tuple(FORMATS),
    "instance_thumbnail": tuple(FORMATS),
    "series_thumbnail": tuple(FORMATS),
    "store_instances": (JSON,),
    "store_instances_of_study": (JSON,),
}
"""Media types by route; a route without a line here fails the tests."""


@router.options(DICOMWEB, response_class=Response)
@router.options(f"{DICOMWEB}/", response_class=Response, include_in_schema=False)
def retrieve_capabilities(request: Request, viewer: SignedIn) -> Response:
    """What this service can do, for machines."""
    if not ACCEPTABLE & {each.media_type for each in accepted(request)}:
        raise NotAcceptable(f"capabilities are told as {WADL}")
    root = Element("application", {"xmlns": NAMESPACE})
    resources = SubElement(root, "resources", {"base": f"{str(request.base_url).rstrip('/')}{DICOMWEB}/"})
    paths: dict[str, Element] = {}
    for route in _routes():
        path = route.path.removeprefix(f"{DICOMWEB}/")
        if path not in paths:
            paths[path] = _resource(resources, path)
        _method(paths[path], route)
    return Response(tostring(root, encoding="utf-8", xml_declaration=True), media_type=WADL)


def _routes() -> Iterator[APIRoute]:
    for part in (qido, wado, drawings, stow):
        yield from (cast(APIRoute, route) for route in part.router.routes)


def _resource(resources: Element, path: str) -> Element:
    resource = SubElement(resources, "resource", {"path": path})
    for word in path.split("/"):
        if word.startswith("{"):
            SubElement(resource, "param", {"name": word.strip("{}"), "style": "template", "required": "true"})
    return resource


def _method(resource: Element, route: APIRoute) -> None:
    name = route.endpoint.__name__
    for verb in sorted(route.methods or ()):
        method = SubElement(resource, "method", {"name": verb, "id": name})
        asked = SubElement(method, "request")
        own = [field.alias for field in route.dependant.query_params]
        for parameter in (*own, *(SEARCH_PARAMETERS if name.startswith("find_") else ())):
            SubElement(asked, "param", {"name": parameter, "style": "query"})
        if verb == "POST":
            for taken in stow.BODY["requestBody"]["content"]:  # type: ignore[attr-defined]
                SubElement(asked, "representation", {"mediaType": taken})
        answer = SubElement(method, "response", {"status": "200"})
        for given in ANSWERS[name]:
            SubElement(answer, "representation", {"mediaType": given})
