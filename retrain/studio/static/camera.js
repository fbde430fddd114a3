// The camera: asked for, shown, and a photograph taken from it.

import { make, tried } from "./ui.js";

const REASONS = {
  NotAllowedError: "the browser was not allowed to use the camera; allow it beside the page's address, then try again",
  NotFoundError: "no camera was found on this machine",
  NotReadableError: "the camera is in use by another program",
};

async function ask(facing) {
  if (!navigator.mediaDevices) {
    throw new Error("a browser lends its camera to pages of this machine or of https only; open the studio as http://127.0.0.1");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { facingMode: facing } });
  } catch (error) {
    throw new Error(REASONS[error.name] || `the camera cannot be used: ${error.message}`);
  }
}

// Gives {video, stop}, or nothing where there is no camera; the reason has been said then.
export async function openCamera(button) {
  const stream = await tried(() => ask("environment"), button);
  if (!stream) return null;
  const video = make("video", { autoplay: true, playsinline: true });
  video.muted = true;
  video.srcObject = stream;
  const stop = () => stream.getTracks().forEach((track) => track.stop());
  return { video, stop };
}

// Takes a JPEG; nothing as long as the camera has not shown anything.
export async function shoot(video) {
  if (!video.videoWidth) return null;
  const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}
