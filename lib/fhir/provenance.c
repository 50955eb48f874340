/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a Provenance. */
#include "fhir/provenance.h"

#include <string.h>

#include "base/clock.h"

#define PDEX "http://hl7.org/fhir/us/davinci-pdex/"
#define SHA256_OID "urn:oid:2.16.840.1.101.3.4.2.1" /* NIST's arc for SHA-256 */

void p2p_provenance_begin(p2p_buf_t *out, const p2p_provenance_t *provenance)
{
    p2p_buf_printf(out, "{\"resourceType\":\"Provenance\",\"id\":\"%s\",\"meta\":{\"profile\":[\"" PDEX
                   "StructureDefinition/pdex-provenance\"]},\"target\":[", provenance->id);
}

void p2p_provenance_target(p2p_buf_t *out, int first, const char *type, const char *id, const char *version)
{
    p2p_buf_cat(out, first ? "" : ",", "{\"reference\":\"", type, "/", id, NULL);
    if (*version) {
        p2p_buf_puts(out, "/_history/");
        p2p_buf_puts(out, version);
    }
    p2p_buf_puts(out, "\"}");
}

void p2p_provenance_end(p2p_buf_t *out, const p2p_provenance_t *provenance)
{
    char recorded[P2P_ISO_TIME_LEN + 1];

    p2p_time_format(recorded, provenance->recorded);
    p2p_buf_printf(out, "],\"recorded\":\"%s\",\"agent\":[{\"type\":{\"coding\":[{\"system\":"
                   "\"http://hl7.org/fhir/us/core/CodeSystem/us-core-provenance-participant-type\",\"code\":\"transmitter\","
                   "\"display\":\"Transmitter\"}]},\"who\":{\"reference\":\"Organization/%s\"}}],", recorded,
                   provenance->organization);
    p2p_buf_puts(out, "\"entity\":[{\"extension\":[{\"url\":\"" PDEX "StructureDefinition/ProvenanceSourceFrom\","
                 "\"valueCodeableConcept\":{\"coding\":[{\"system\":\"" PDEX "CodeSystem/ProvenancePayerDataSource\","
                 "\"code\":\"hl7fhirr4\"}]}}],\"role\":\"source\",\"what\":{");
    if (*provenance->sha256)
        p2p_buf_cat(out, "\"identifier\":{\"system\":\"" SHA256_OID "\",\"value\":\"", provenance->sha256, "\"},", NULL);
    p2p_buf_puts(out, "\"display\":");
    p2p_buf_json(out, provenance->url, strcspn(provenance->url, "?"));
    p2p_buf_puts(out, "}}]}");
}
