// Makes the files beside it: keys, an image, and signatures of it in every form that is read.
// The bundles are made by Sigstore's own library for JavaScript, the rest as cosign 2 has it.
//
//     npm ci && node make.mjs
//
// Each run makes other keys. Private keys are not kept.

import crypto from "node:crypto";
import fs from "node:fs";
import { bundleToJSON } from "@sigstore/bundle";
import { DSSEBundleBuilder, MessageSignatureBundleBuilder } from "@sigstore/sign";

const sha256 = (bytes) => crypto.createHash("sha256").update(bytes).digest("hex");
const write = (name, content) => fs.writeFileSync(name, content);

// The module of the tests with the number 1: a header and a section that means nothing.
const wasm = Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 0, 3, 1, 0x78, 1]);
const manifest = Buffer.from(JSON.stringify({
  schemaVersion: 2,
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: `sha256:${sha256("{}")}`, size: 2 },
  layers: [{ mediaType: "application/wasm", digest: `sha256:${sha256(wasm)}`, size: wasm.length }],
}));
write("image.json", manifest);

const keys = {
  "p256": ["ec", { namedCurve: "P-256" }, "sha256"],
  "p384": ["ec", { namedCurve: "P-384" }, "sha384"],
  "ed25519": ["ed25519", {}, null],
  "rsa": ["rsa", { modulusLength: 2048 }, "sha256"],
  "other": ["ec", { namedCurve: "P-256" }, "sha256"],
};
const statement = (digest, predicateType) => Buffer.from(JSON.stringify({
  _type: "https://in-toto.io/Statement/v1",
  subject: [{ digest: { sha256: digest }, annotations: {} }],
  predicateType,
  predicate: {},
}));
const SIGNED = "https://sigstore.dev/cosign/sign/v1";
const simple = (digest) => Buffer.from(JSON.stringify({
  critical: {
    identity: { "docker-reference": "registry.example/team/filter" },
    image: { "docker-manifest-digest": `sha256:${digest}` },
    type: "cosign container image signature",
  },
  optional: null,
}));

for (const [name, [sort, options, hash]] of Object.entries(keys)) {
  const { publicKey, privateKey } = crypto.generateKeyPairSync(sort, options);
  const pem = publicKey.export({ type: "spki", format: "pem" });
  write(`${name}.pub`, pem);
  const sign = (data) => crypto.sign(hash, data, privateKey);
  const signer = {
    sign: async (data) => ({
      signature: sign(data),
      key: { $case: "publicKey", publicKey: pem, hint: sha256(pem) },
    }),
  };
  const bundle = async (file, Builder, artifact) => {
    const made = await new Builder({ signer, witnesses: [] }).create(artifact);
    write(file, JSON.stringify(bundleToJSON(made)));
  };
  const inToto = "application/vnd.in-toto+json";
  await bundle(`${name}.statement.json`, DSSEBundleBuilder, { data: statement(sha256(manifest), SIGNED), type: inToto });
  await bundle(`${name}.message.json`, MessageSignatureBundleBuilder, { data: manifest });
  const payload = simple(sha256(manifest));
  write(`${name}.simple.json`, JSON.stringify({ payload: payload.toString(), signature: sign(payload).toString("base64") }));
  if (name === "p256") {
    await bundle("attestation.json", DSSEBundleBuilder, { data: statement(sha256(manifest), "https://slsa.dev/provenance/v1"), type: inToto });
    await bundle("elsewhere.json", DSSEBundleBuilder, { data: statement(sha256("other"), SIGNED), type: inToto });
  }
  if (name === "rsa") {
    const pss = crypto.sign("sha256", payload, { key: privateKey, padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
    write("rsa-pss.simple.json", JSON.stringify({ payload: payload.toString(), signature: pss.toString("base64") }));
  }
  if (name === "p384") {
    const old = crypto.sign("sha256", payload, privateKey);
    write("p384-sha256.simple.json", JSON.stringify({ payload: payload.toString(), signature: old.toString("base64") }));
  }
}
const { publicKey: short } = crypto.generateKeyPairSync("rsa", { modulusLength: 1024 });
write("rsa-1024.pub", short.export({ type: "spki", format: "pem" }));
const { publicKey: unknown } = crypto.generateKeyPairSync("ec", { namedCurve: "secp256k1" });
write("secp256k1.pub", unknown.export({ type: "spki", format: "pem" }));
