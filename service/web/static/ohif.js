// OHIF beside the reader's form, in a frame or a window of its own: its slice, window and rectangles are the form's.
// It is of this origin, and its build leaves cornerstone, cornerstoneTools and services on its window (3.13.2).
"use strict";
window.makeOhif = ({ page, api, uids, finding, moved, pressed, boxes, say }) => {
  const frame = page.querySelector("[data-ohif]");
  const drawn = new Map(); // annotation UID -> the box of the label that it is; null while nobody said of what
  const known = new WeakSet(); // viewports' elements that are listened to
  let view = null; // the window that OHIF is in
  let heard = null; // its document, once it is listened to
  let address = "";
  let wanted = 0; // a slice asked for before there was a picture

  const sopOf = (imageId) => imageId?.match(/\/instances\/([0-9.]+)\//)?.[1];
  function viewport() {
    try {
      const active = view?.services?.viewportGridService?.getActiveViewportId?.();
      const all = view?.cornerstone?.getEnabledElements?.() || [];
      return (all.find((each) => each.viewportId === active) || all[0])?.viewport || null;
    } catch { return null; } // it is laying itself out
  }
  const here = () => uids.indexOf(sopOf(viewport()?.getCurrentImageId?.())) + 1;

  function show(n) {
    const now = viewport();
    const at = now?.getImageIds?.().findIndex((each) => sopOf(each) === uids[n - 1]) ?? -1;
    if (at < 0 || !now.setImageIdIndex) { wanted = n; return; }
    wanted = 0;
    now.setImageIdIndex(at);
  }

  function look(centre, width) {
    viewport()?.setProperties?.({ voiRange: { lower: centre - width / 2, upper: centre + width / 2 } });
    viewport()?.render();
  }

  // corners in pixels of the slice, (column, row) from the corner of its first pixel, as the form's own boxes are
  function boxOf(annotation) {
    const imageId = annotation.metadata?.referencedImageId;
    const uid = sopOf(imageId);
    if (!uids.includes(uid)) return null;
    const corners = annotation.data.handles.points.map((each) => view.cornerstone.utilities.worldToImageCoords(imageId, each));
    const span = (axis, most) => [Math.min, Math.max].map((end) => Math.min(Math.max(Math.round(end(...corners.map((each) => each[axis]))), 0), most));
    const [[left, right], [top, bottom]] = [span(0, Number(page.dataset.columns)), span(1, Number(page.dataset.rows))];
    return right - left > 2 && bottom - top > 2 ? { sop_uid: uid, points: [[left, top], [right, bottom]] } : null;
  }

  function take(annotation) {
    if (annotation?.metadata?.toolName !== "RectangleROI") return;
    const own = drawn.get(annotation.annotationUID);
    const box = boxOf(annotation);
    if (own) { if (box) boxes.change(own, box); return; }
    if (!finding()) { drawn.set(annotation.annotationUID, null); say(page.dataset.boxChoose); return; }
    if (!box) return;
    say("");
    drawn.set(annotation.annotationUID, boxes.add({ kind: "bbox", finding: finding(), mask: "", ...box }));
  }

  function drop(uid) {
    const own = drawn.get(uid);
    // when OHIF closes a study it drops all: those were not taken away by the reader
    setTimeout(() => { if (own && viewport()) boxes.remove(own); }, 0);
    drawn.delete(uid);
  }

  // the boxes of the draft, as rectangles that can be moved
  function put(box) {
    const now = viewport();
    const imageId = now?.getImageIds?.().find((each) => sopOf(each) === box.sop_uid);
    if (!imageId) return;
    const [[left, top], [right, bottom]] = box.points;
    const corner = (column, row) => [...view.cornerstone.utilities.imageToWorldCoords(imageId, [column, row])];
    const { viewPlaneNormal, viewUp } = now.getCamera();
    const annotationUID = view.cornerstone.utilities.uuidv4();
    const plane = view.cornerstone.metaData.get("imagePlaneModule", imageId);
    drawn.set(annotationUID, box);
    view.cornerstoneTools.annotation.state.addAnnotation({
      annotationUID, highlighted: false, isLocked: false, isVisible: true, invalidated: true,
      metadata: { toolName: "RectangleROI", FrameOfReferenceUID: plane.frameOfReferenceUID, referencedImageId: imageId, viewPlaneNormal: [...viewPlaneNormal], viewUp: [...viewUp] },
      data: { label: "", cachedStats: {}, handles: { points: [corner(left, top), corner(right, top), corner(left, bottom), corner(right, bottom)], activeHandleIndex: null, textBox: { hasMoved: false, worldPosition: [0, 0, 0], worldBoundingBox: { topLeft: [0, 0, 0], topRight: [0, 0, 0], bottomLeft: [0, 0, 0], bottomRight: [0, 0, 0] } } } },
    }, now.element);
  }

  function listen(element) {
    if (known.has(element)) return;
    known.add(element);
    const { STACK_NEW_IMAGE, VOLUME_NEW_IMAGE, IMAGE_RENDERED } = view.cornerstone.Enums.Events;
    for (const event of [STACK_NEW_IMAGE, VOLUME_NEW_IMAGE, IMAGE_RENDERED]) element.addEventListener(event, () => { if (wanted) show(wanted); else moved(here()); });
  }

  // OHIF has drawn a picture for the first time since its window was opened or loaded anew
  function begin() {
    heard = view.document;
    view.addEventListener("keydown", pressed, true);
    const { eventTarget, Enums } = view.cornerstone;
    const events = view.cornerstoneTools.Enums.Events;
    const heardBy = view;
    const ours = (act) => (event) => { if (view === heardBy) act(event.detail); };
    eventTarget.addEventListener(Enums.Events.ELEMENT_ENABLED, ours((detail) => listen(detail.element)));
    view.cornerstone.getEnabledElements().forEach((each) => listen(each.viewport.element));
    eventTarget.addEventListener(events.ANNOTATION_COMPLETED, ours((detail) => take(detail.annotation)));
    eventTarget.addEventListener(events.ANNOTATION_MODIFIED, ours((detail) => { if (drawn.get(detail.annotation.annotationUID)) take(detail.annotation); }));
    eventTarget.addEventListener(events.ANNOTATION_REMOVED, ours((detail) => drop(detail.annotation.annotationUID)));
    drawn.clear();
    boxes.all().forEach(put);
    if (wanted) show(wanted);
    viewport().render();
    page.dataset.ohifReady = "";
    moved(here());
  }

  setInterval(() => {
    if (!view) return;
    if (view.closed) { into(frame.contentWindow); frame.src = address; page.dataset.scene = "ohif"; return; }
    try {
      if (view.document !== heard && view.cornerstoneTools && viewport()?.getImageData?.()) begin();
    } catch { /* between two pages it has no document of ours */ }
  }, 250);

  function into(target) {
    view = target;
    heard = null;
    delete page.dataset.ohifReady;
  }

  // what the hub shows of this read, and nothing else; a refusal where its images may not leave care as DICOM
  async function find() {
    if (address) return "";
    const answer = await fetch(`${api}/dicomweb/studies`).catch(() => null);
    if (!answer?.ok || answer.status === 204) return (await answer?.json().catch(() => null))?.detail || page.dataset.lost;
    const uid = (await answer.json())[0]["0020000D"].Value[0];
    address = `${page.dataset.viewer}/basic?StudyInstanceUIDs=${uid}`;
    return "";
  }

  async function open(apart) {
    const refused = await find();
    if (refused) return refused;
    const name = "hub-ohif";
    const other = apart ? window.open(address, name) : null;
    if (!other && frame.getAttribute("src") !== address) frame.src = address;
    if (other && frame.getAttribute("src")) frame.removeAttribute("src");
    into(other || frame.contentWindow);
    page.dataset.scene = other ? "apart" : "ohif";
    return "";
  }

  function rectangle() {
    if (!view?.commandsManager || !finding()) return;
    view.commandsManager.runCommand("setToolActiveToolbar", { toolName: "RectangleROI" });
    for (const [uid, own] of [...drawn]) if (own === null) take(view.cornerstoneTools.annotation.state.getAnnotation(uid));
  }

  function unbox(gone) {
    for (const [uid, own] of [...drawn]) {
      if (!gone.includes(own)) continue;
      drawn.delete(uid);
      view?.cornerstoneTools?.annotation.state.removeAnnotation(uid);
    }
    viewport()?.render();
  }

  return { open, show, look, rectangle, unbox };
};
