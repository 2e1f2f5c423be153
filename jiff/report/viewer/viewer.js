"use strict";
(() => {
  const items = JSON.parse(document.getElementById("meshes").textContent);
  const canvas = document.getElementById("view");
  const gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
  const labels = document.getElementById("labels");
  if (!gl) {
    labels.innerHTML = '<div id="message">This browser offers no WebGL 2; open the page in another one.</div>';
    return;
  }

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const VERTEX = `#version 300 es
    precision highp float; precision highp sampler2D;
    in vec3 position; in vec3 normal; in vec3 color; in vec2 uv; in vec4 bones; in vec4 weights;
    uniform mat4 clip; uniform mat3 turn; uniform bool wire; out vec3 n; out vec3 c; out vec2 t;
    // A frame is a row of the poses, a bone three texels of it: the rows of its matrix. No frame: the mesh stands still.
    uniform sampler2D poses; uniform ivec2 frame; uniform float between;
    vec4 row(int bone, int k) {
      ivec2 at = ivec2(3 * bone + k, frame.x);
      return mix(texelFetch(poses, at, 0), texelFetch(poses, ivec2(at.x, frame.y), 0), between);
    }
    void main() {
      vec3 p = position, m = normal;
      if (frame.x >= 0) {
        vec4 a = vec4(0.0), b = vec4(0.0), d = vec4(0.0);
        vec4 w = weights / dot(weights, vec4(1.0));
        for (int k = 0; k < 4; k++) if (w[k] > 0.0) {
          int bone = int(bones[k]);
          a += w[k] * row(bone, 0); b += w[k] * row(bone, 1); d += w[k] * row(bone, 2);
        }
        vec4 whole = vec4(position, 1.0);
        p = vec3(dot(a, whole), dot(b, whole), dot(d, whole));
        m = vec3(dot(a.xyz, normal), dot(b.xyz, normal), dot(d.xyz, normal));
      }
      gl_Position = clip * vec4(p, 1.0);
      if (wire) gl_Position.z -= 0.0008;
      n = turn * m; c = color; t = uv;
    }`;
  const FRAGMENT = `#version 300 es
    precision highp float;
    in vec3 n; in vec3 c; in vec2 t; out vec4 pixel;
    uniform int mode; uniform bool textured; uniform bool wire; uniform sampler2D image;
    void main() {
      if (wire) { pixel = vec4(0.1, 0.1, 0.12, 1.0); return; }
      vec3 m = normalize(n);
      if (!gl_FrontFacing) m = -m;
      if (mode == 2) { pixel = vec4(m * 0.5 + 0.5, 1.0); return; }
      vec3 base = mode == 1 ? vec3(0.74, 0.72, 0.70) : textured ? texture(image, t).rgb : c;
      float light = mode == 1 ? 0.30 + 0.55 * max(dot(m, normalize(vec3(0.35, 0.55, 0.76))), 0.0) + 0.2 * max(m.z, 0.0)
                              : 0.72 + 0.28 * max(m.z, 0.0);
      pixel = vec4(base * light, 1.0);
    }`;

  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  gl.useProgram(program);
  const uniform = (name) => gl.getUniformLocation(program, name);
  const places = { clip: uniform("clip"), turn: uniform("turn"), mode: uniform("mode"), wire: uniform("wire"),
    textured: uniform("textured"), frame: uniform("frame"), between: uniform("between") };
  gl.uniform1i(uniform("image"), 0);
  gl.uniform1i(uniform("poses"), 1);

  // Vertices at one place share a normal: those that a texture's seam splits must not show in the light.
  function welded(whole) {
    const owner = new Uint32Array(whole.length / 3), seen = new Map();
    for (let v = 0; v < owner.length; v++) {
      const key = (whole[v * 3] * 65536 + whole[v * 3 + 1]) * 65536 + whole[v * 3 + 2];
      if (!seen.has(key)) seen.set(key, v);
      owner[v] = seen.get(key);
    }
    return owner;
  }

  function normalsOf(position, index, owner) {
    const normal = new Float32Array(position.length);
    for (let f = 0; f < index.length; f += 3) {
      const [a, b, c] = [index[f] * 3, index[f + 1] * 3, index[f + 2] * 3];
      const u = [0, 1, 2].map((k) => position[b + k] - position[a + k]);
      const v = [0, 1, 2].map((k) => position[c + k] - position[a + k]);
      const cross = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      for (const corner of [a, b, c]) {
        const place = owner ? owner[corner / 3] * 3 : corner;
        for (let k = 0; k < 3; k++) normal[place + k] += cross[k];
      }
    }
    if (owner) owner.forEach((from, v) => normal.copyWithin(v * 3, from * 3, from * 3 + 3));
    return normal;
  }

  function edgesOf(index) {
    const lines = new Uint32Array(index.length * 2);
    for (let f = 0, e = 0; f < index.length; f += 3)
      for (let k = 0; k < 3; k++) { lines[e++] = index[f + k]; lines[e++] = index[f + (k + 1) % 3]; }
    return lines;
  }

  function attribute(name, data, size, type, normalized) {
    const place = gl.getAttribLocation(program, name);
    if (place < 0) return;
    if (!data) { gl.vertexAttrib3f(place, 0.75, 0.73, 0.71); return; }
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, size, type, normalized, 0, 0);
  }

  // All movements of a mesh in one texture, one below the other.
  function posesOf(item) {
    const parts = item.clips.map((clip) => new Float32Array(bytes(clip.matrices).buffer));
    const rows = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0, first = 0;
    const clips = {};
    item.clips.forEach((clip, k) => {
      rows.set(parts[k], at);
      clips[clip.name] = { first, frames: clip.frames, length: (clip.frames - 1) * clip.frame_s };
      at += parts[k].length;
      first += clip.frames;
    });
    const texture = gl.createTexture();
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, 3 * item.joints, first, 0, gl.RGBA, gl.FLOAT, rows);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.activeTexture(gl.TEXTURE0);
    return { texture, clips };
  }

  function setFrame(mesh) {
    const clip = mesh.poses && mesh.poses.clips[state.clip];
    if (!clip) { gl.uniform2i(places.frame, -1, -1); return; }
    const at = clip.length > 0 ? (state.time % clip.length) / clip.length * (clip.frames - 1) : 0;
    const low = Math.min(Math.floor(at), clip.frames - 1);
    gl.uniform2i(places.frame, clip.first + low, clip.first + Math.min(low + 1, clip.frames - 1));
    gl.uniform1f(places.between, at - low);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, mesh.poses.texture);
    gl.activeTexture(gl.TEXTURE0);
  }

  // Each mesh is shown at its own height, so that metres and centimetres stand side by side.
  const meshes = items.map((item) => {
    const whole = new Uint16Array(bytes(item.position).buffer);
    const position = new Float32Array(whole.length);
    const height = item.size[1] || 1;
    for (let i = 0; i < whole.length; i++)
      position[i] = (whole[i] / 65535 - 0.5) * item.size[i % 3] / height;
    const index = new Uint32Array(bytes(item.index).buffer);
    const array = gl.createVertexArray();
    gl.bindVertexArray(array);
    attribute("position", position, 3, gl.FLOAT, false);
    attribute("normal", normalsOf(position, index, item.uv ? welded(whole) : null), 3, gl.FLOAT, false);
    attribute("color", item.color && bytes(item.color), 3, gl.UNSIGNED_BYTE, true);
    attribute("uv", item.uv && new Float32Array(bytes(item.uv).buffer), 2, gl.FLOAT, false);
    if (item.clips) {
      attribute("bones", new Uint16Array(bytes(item.bones).buffer), 4, gl.UNSIGNED_SHORT, false);
      attribute("weights", new Uint16Array(bytes(item.weights).buffer), 4, gl.UNSIGNED_SHORT, true);
    }
    const solid = gl.createBuffer();
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, solid);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, index, gl.STATIC_DRAW);
    const mesh = { array, solid, index, count: index.length, texture: null, lines: null, color: !!item.color,
      poses: item.clips ? posesOf(item) : null };
    if (item.texture) {
      const picture = new Image();
      picture.onload = () => {
        mesh.texture = gl.createTexture();
        gl.bindTexture(gl.TEXTURE_2D, mesh.texture);
        gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, true);
        gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, picture);
        gl.generateMipmap(gl.TEXTURE_2D);
        gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
        draw();
      };
      picture.src = item.texture;
    }
    return mesh;
  });

  const clips = [...new Set(items.flatMap((item) => (item.clips || []).map((clip) => clip.name)))];
  const state = { yaw: 0, pitch: 0, zoom: 1, x: 0, y: 0, mode: items.some((i) => i.color || i.texture) ? 0 : 1, wire: false,
    clip: clips[0] || "", time: 0, playing: clips.length > 0 };

  function draw() {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    gl.enable(gl.DEPTH_TEST);
    gl.clearColor(0, 0, 0, 0);
    gl.disable(gl.SCISSOR_TEST);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.SCISSOR_TEST);
    const [cy, sy, cp, sp] = [Math.cos(state.yaw), Math.sin(state.yaw), Math.cos(state.pitch), Math.sin(state.pitch)];
    const r = [[cy, 0, sy], [sp * sy, cp, -sp * cy], [-cp * sy, sp, cp * cy]];
    const width = canvas.width / meshes.length;
    meshes.forEach((mesh, column) => {
      const left = Math.round(column * width);
      gl.viewport(left, 0, Math.round(width), canvas.height);
      gl.scissor(left, 0, Math.round(width), canvas.height);
      // Orthographic like the training camera; the body's height 1 fills 85 % of the column's height or width.
      const s = state.zoom * 1.7;
      const sx = s * canvas.height / width;
      const fit = Math.min(1, width / canvas.height / 0.62);
      gl.uniformMatrix4fv(places.clip, false, new Float32Array([
        fit * sx * r[0][0], fit * s * r[1][0], -0.4 * r[2][0], 0,
        fit * sx * r[0][1], fit * s * r[1][1], -0.4 * r[2][1], 0,
        fit * sx * r[0][2], fit * s * r[1][2], -0.4 * r[2][2], 0,
        fit * sx * state.x, fit * s * state.y + 0.04, 0, 1]));
      gl.uniformMatrix3fv(places.turn, false, new Float32Array([
        r[0][0], r[1][0], r[2][0], r[0][1], r[1][1], r[2][1], r[0][2], r[1][2], r[2][2]]));
      gl.uniform1i(places.mode, state.mode);
      gl.uniform1i(places.textured, mesh.texture ? 1 : 0);
      if (mesh.texture) gl.bindTexture(gl.TEXTURE_2D, mesh.texture);
      setFrame(mesh);
      gl.bindVertexArray(mesh.array);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, mesh.solid);
      gl.uniform1i(places.wire, 0);
      gl.drawElements(gl.TRIANGLES, mesh.count, gl.UNSIGNED_INT, 0);
      if (state.wire) {
        if (!mesh.lines) {
          mesh.lines = gl.createBuffer();
          gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, mesh.lines);
          gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, edgesOf(mesh.index), gl.STATIC_DRAW);
        }
        gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, mesh.lines);
        gl.uniform1i(places.wire, 1);
        gl.drawElements(gl.LINES, mesh.count * 2, gl.UNSIGNED_INT, 0);
      }
    });
    document.querySelectorAll("[data-mode]").forEach((b) => b.setAttribute("aria-pressed", +b.dataset.mode === state.mode));
    document.getElementById("wire").setAttribute("aria-pressed", state.wire);
    document.querySelectorAll("[data-clip]").forEach((b) => b.setAttribute("aria-pressed", b.dataset.clip === state.clip));
  }

  // What moves gets a button for each movement, and one for the pose it is bound in.
  if (clips.length) {
    const hint = document.querySelector("#bar span");
    for (const name of [...clips, ""]) {
      const button = document.createElement("button");
      button.dataset.clip = name;
      button.textContent = name || "Bind pose";
      hint.before(button);
    }
    hint.before(document.createElement("i"));
  }

  let last = 0;
  function play(now) {
    if (!state.playing || !state.clip) { last = 0; return; }
    if (last) state.time += (now - last) / 1000;
    last = now;
    draw();
    requestAnimationFrame(play);
  }

  items.forEach((item, column) => {
    const label = document.createElement("div");
    label.className = "label";
    label.style.left = `${100 * column / items.length}%`;
    label.style.width = `${100 / items.length}%`;
    label.textContent = item.label;
    const small = document.createElement("small");
    small.textContent = item.note;
    label.append(small);
    labels.append(label);
  });

  // The yaw steps show the same sides as the data's views: yaw 90 is the subject turned by +90 degrees about y.
  function choose(chosen) {
    if (chosen.mode) state.mode = +chosen.mode;
    if (chosen.look) Object.assign(state, chosen.look === "face" ? { zoom: 6, x: 0, y: -0.43 } : { zoom: 1, x: 0, y: 0 });
    if (chosen.clip !== undefined) Object.assign(state, { clip: chosen.clip, time: 0 });
    if (chosen.time) Object.assign(state, { time: +chosen.time, playing: false });
    if (chosen.yaw) Object.assign(state, { yaw: +chosen.yaw * Math.PI / 180, pitch: 0 });
  }

  document.getElementById("bar").addEventListener("click", (event) => {
    const chosen = event.target.dataset || {};
    const stood = !state.playing || !state.clip;
    if (chosen.clip !== undefined) state.playing = true;
    choose(chosen);
    if (stood && state.playing) requestAnimationFrame(play);
    if (event.target.id === "wire") state.wire = !state.wire;
    draw();
  });

  // The address may say what to show: page.html#mode=2&look=face&yaw=90&wire=1, or #clip=walk&time=0.4.
  const address = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  choose(address);
  state.wire = address.wire === "1";
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    if (event.buttons === 1 && !event.shiftKey) {
      state.yaw += event.movementX * 0.01;
      state.pitch = Math.max(-1.5, Math.min(1.5, state.pitch + event.movementY * 0.01));
    } else {
      const unit = 2 / (1.7 * state.zoom * canvas.clientHeight);
      state.x += event.movementX * unit;
      state.y -= event.movementY * unit;
    }
    draw();
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    state.zoom = Math.max(0.3, Math.min(40, state.zoom * Math.exp(-event.deltaY * 0.001)));
    draw();
  }, { passive: false });
  window.addEventListener("resize", draw);
  window.jiffViewer = { state, draw };
  draw();
  requestAnimationFrame(play);
})();
