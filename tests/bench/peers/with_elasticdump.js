// Loaded into elasticdump before it starts, with `node -r`. The Elasticsearch of the benchmark is put
// together without the module that answers `GET /`, where elasticdump looks for the version: it is
// told the version instead, and nothing else is changed.
const { createRequire } = require('node:module')
const path = require('node:path')

const program = path.resolve(process.argv[1])
const Base = createRequire(program)('../lib/transports/__es__/_base.js')
const version = '8.19.0'
const told = { version, distribution: 'elasticsearch', distributionVersion: version }
Base.prototype._parseVersion = () => told
