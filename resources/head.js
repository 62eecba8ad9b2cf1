// The head in three dimensions of the talking face's page: loads it, and shows a face.
// The numbers of a face are those of face_perception/avatar/head_numbers.py.

import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";

const TURNS = 5;          // gaze yaw and pitch, then head yaw, pitch and roll, in radians
const FIELD = 20;         // degrees, of the shorter side of the screen
const LOOK_AT = new THREE.Vector3(0, -0.012, 0);  // metres from the midpoint of the eyes
const NECK = new THREE.Vector3(0, -0.10, -0.075); // where the head turns
const SHOWN = 0.32;       // metres of the head that the shorter side shows
const SHOULDERS = 0.4;    // share of the turn of the head that the shoulders follow

export class Head {
  // Raises an error if the browser has no WebGL, or a file is missing.
  static async load(canvas) {
    const renderer = new THREE.WebGLRenderer({ canvas, antialias: true });
    const gltf = await new GLTFLoader().loadAsync("/head.glb");
    return new Head(renderer, gltf.scene);
  }

  constructor(renderer, model) {
    this.renderer = renderer;
    renderer.toneMapping = THREE.NeutralToneMapping;
    renderer.toneMappingExposure = 1.0;
    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(FIELD, 1, 0.05, 10);
    this.light();
    // The head turns about the neck, and the shoulders follow a little.
    this.pivot = new THREE.Group();
    this.pivot.position.copy(NECK);
    this.morphs = [];
    this.eyes = [];
    for (const part of [...model.children]) {
      if (part.name === "shirt") {
        this.shirt = new THREE.Group();
        this.shirt.position.copy(NECK);
        part.position.sub(NECK);
        this.shirt.add(part);
        this.scene.add(this.shirt);
        continue;
      }
      part.position.sub(NECK);
      this.pivot.add(part);
      if (part.name.startsWith("eye")) { this.eyes.push(part); }
      part.traverse((mesh) => {
        mesh.frustumCulled = false;
        if (mesh.morphTargetInfluences) { this.morphs.push(mesh); }
      });
    }
    this.pivot.rotation.order = "YXZ";
    this.scene.add(this.pivot);
    this.shape = "";
  }

  light() {
    const scene = this.scene;
    scene.background = backdrop();
    scene.environment = surroundings(this.renderer);
    scene.environmentIntensity = 0.55;
    const key = new THREE.DirectionalLight(0xfff0e0, 2.1);
    key.position.set(-0.6, 0.7, 1.1);
    const fill = new THREE.DirectionalLight(0xdde8ff, 0.7);
    fill.position.set(0.9, 0.1, 0.8);
    const rim = new THREE.DirectionalLight(0xbfd8ff, 1.6);
    rim.position.set(0.7, 0.6, -1.0);
    scene.add(key, fill, rim);
  }

  // `numbers`: strengths of ARKit's 52 blendshapes, then the turns.
  show(numbers) {
    const strengths = numbers.length - TURNS;
    for (const mesh of this.morphs) {
      const influences = mesh.morphTargetInfluences;
      // The first blendshape, _neutral, moves nothing and is not in the file.
      for (let k = 0; k < influences.length; k += 1) { influences[k] = numbers[k + 1]; }
    }
    const [gazeYaw, gazePitch, yaw, pitch, roll] = numbers.slice(strengths);
    for (const eye of this.eyes) { eye.rotation.set(-(gazePitch - pitch), gazeYaw - yaw, 0, "YXZ"); }
    this.pivot.rotation.set(-pitch, yaw, -roll);
    this.shirt.rotation.set(-SHOULDERS * pitch, SHOULDERS * yaw, -SHOULDERS * roll);
    this.fit();
    this.renderer.render(this.scene, this.camera);
  }

  // Fits the head to the window: its face as large as the shorter side allows.
  fit() {
    const shape = `${innerWidth}x${innerHeight}x${devicePixelRatio}`;
    if (shape === this.shape) { return; }
    this.shape = shape;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.setSize(innerWidth, innerHeight, false);
    const aspect = innerWidth / Math.max(innerHeight, 1);
    const half = Math.tan(THREE.MathUtils.degToRad(FIELD) / 2);
    this.camera.aspect = aspect;
    this.camera.fov = FIELD;
    const shown = aspect < 1 ? SHOWN / aspect * 0.86 : SHOWN;
    this.camera.position.set(0, LOOK_AT.y, shown / 2 / half);
    this.camera.lookAt(LOOK_AT);
    this.camera.updateProjectionMatrix();
  }
}

function backdrop() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 256;
  const pen = canvas.getContext("2d");
  const light = pen.createRadialGradient(128, 110, 10, 128, 128, 190);
  light.addColorStop(0, "#8fa6b4");
  light.addColorStop(1, "#2d3b47");
  pen.fillStyle = light;
  pen.fillRect(0, 0, 256, 256);
  const texture = new THREE.CanvasTexture(canvas);
  texture.colorSpace = THREE.SRGBColorSpace;
  return texture;
}

// A room with two windows, which the eyes and the skin mirror.
function surroundings(renderer) {
  const room = new THREE.Scene();
  const walls = new THREE.Mesh(
    new THREE.SphereGeometry(5, 32, 16),
    new THREE.MeshBasicMaterial({ side: THREE.BackSide, vertexColors: true }),
  );
  const places = walls.geometry.attributes.position, colours = [];
  for (let k = 0; k < places.count; k += 1) {
    const up = places.getY(k) / 5, shade = 0.25 + 0.75 * Math.max(0, 0.5 + 0.5 * up);
    colours.push(0.95 * shade, shade, 1.05 * shade);
  }
  walls.geometry.setAttribute("color", new THREE.Float32BufferAttribute(colours, 3));
  room.add(walls);
  for (const [x, y, size, strength] of [[-2.2, 2.2, 1.5, 14], [2.6, 1.2, 0.8, 6]]) {
    const window_ = new THREE.Mesh(
      new THREE.PlaneGeometry(size, size),
      new THREE.MeshBasicMaterial({ color: new THREE.Color(strength, strength, strength) }),
    );
    window_.position.set(x, y, 3.5);
    window_.lookAt(0, 0, 0);
    room.add(window_);
  }
  const maker = new THREE.PMREMGenerator(renderer);
  const texture = maker.fromScene(room, 0.01).texture;
  maker.dispose();
  return texture;
}
