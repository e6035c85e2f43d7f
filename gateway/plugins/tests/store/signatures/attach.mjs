// Signs an image with a new key as cosign 3 does, and puts the bundle beside it in its registry: with
// Sigstore's own libraries. Prints the public key.
//
//     node attach.mjs FOLDER_WITH_NODE_MODULES REGISTRY/NAME DIGEST USER PASSWORD

import crypto from "node:crypto";
import { createRequire } from "node:module";
import path from "node:path";

const [folder, imageName, imageDigest, username, password] = process.argv.slice(2);
const require = createRequire(path.resolve(folder, "package.json"));
const { bundleToJSON } = require("@sigstore/bundle");
const { attachArtifactToImage } = require("@sigstore/oci");
const { DSSEBundleBuilder } = require("@sigstore/sign");

const SIGNED = "https://sigstore.dev/cosign/sign/v1";
const { publicKey, privateKey } = crypto.generateKeyPairSync("ec", { namedCurve: "P-256" });
const pem = publicKey.export({ type: "spki", format: "pem" });
const signer = {
  sign: async (data) => ({
    signature: crypto.sign("sha256", data, privateKey),
    key: { $case: "publicKey", publicKey: pem, hint: "tests" },
  }),
};
const statement = {
  _type: "https://in-toto.io/Statement/v1",
  subject: [{ digest: { sha256: imageDigest.replace("sha256:", "") }, annotations: {} }],
  predicateType: SIGNED,
  predicate: {},
};
const made = await new DSSEBundleBuilder({ signer, witnesses: [] }).create({
  data: Buffer.from(JSON.stringify(statement)),
  type: "application/vnd.in-toto+json",
});
await attachArtifactToImage({
  imageName,
  imageDigest,
  artifact: Buffer.from(JSON.stringify(bundleToJSON(made))),
  mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
  annotations: {
    "dev.sigstore.bundle.content": "dsse-envelope",
    "dev.sigstore.bundle.predicateType": SIGNED,
  },
  credentials: { headers: {}, username, password },
});
process.stdout.write(pem);
