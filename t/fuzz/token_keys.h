/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that the tokens of t/fuzz/corpus/token were signed with once, and which of those are good. The private keys were thrown away. */
#ifndef P2P_FUZZ_TOKEN_KEYS_H
#define P2P_FUZZ_TOKEN_KEYS_H

static const char published_keys[] =
    "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"wg4AAXj-xGi1lxg5IFjzKmQJreSLm5ThjkkXAi9glhGPLK4AAPmCiBkTjUOKXnRdF3_XLI1vOC"
    "4ESJy9iBhBpC4p9QUrL_5ki5OefGv2F9n2b819Myg-QtwwLAU4wM4CoASzK7kPCMCEkTwIdK4AwcBI7DDJ7r_D7XF0tbWaXo1L-NH784ukIXV0"
    "QmRNoa2uMRveMoghUAiLZqkC36MOYZk6fHrZjB9VZ4esxqVrKORgEKeAA9ExD7WHrmxQ05EdpvgUkRTbnlGD--JMVZlwjpWTp5ALs8jljAU8zw"
    "ACKw5nHOuLfyAc5f6pCZhoT286BUfHmzoFR3EpSxSu2bqGOQ\",\"e\":\"AQAB\",\"kid\":\"0\",\"use\":\"sig\"},{\"kty\":\"RS"
    "A\",\"n\":\"__________-SH7VEQtGEaZVW9iCxFagLH1pD05Ojegy6aUt7Qig_hQT-tKj6CAoGrZ_ZDMPfjcupiNkVOt2mGz9YqcoBNmZmTp"
    "XMjv0y84USQemiPjIIPGXmlb7ye_fKom74FMoPrlv7rHeVZAMPE6jKL93iKRSs1sMi7n2DWFvITZP8AqjCqX2diJKvQ7mxQ7oDAn8QxdDe8qot"
    "HXhYs6yha_ea6ub85HTWKkEdx8oMrHWK_pHB6OuVwnphOknCRG4-W7FU-C3aSEnqD9DkQjBnPtbHAN6XgzWNWM63JrIFxF3DlAgNIsJCuUc8wa"
    "gzWq4f2nESr9LDUXpCYoINksX4xs4IRgjvPkfriRQgKpDeh-Mo3j3qyXtjxRShEbSElwYCJJqtJBi1i2tv57AF2mzo5ZNTHeUtBZIEGwddUA7Z"
    "XqaNhyAZEOZNsc6ofwXGxpJzphIH-f07Y1-KEgMgXsKkxUef43WK3wHgOTf_b1uhZQtTiG0CFQAAAAAAAAAB\",\"e\":\"AQAB\",\"kid\":"
    "\"1\",\"use\":\"sig\"},{\"kty\":\"RSA\",\"n\":\"__________93CC76xCQMz4Y9SgsSmPHmlVwXshjg4Vg5OXh73MX_YutQFgV9I3"
    "ITgKI76qq2-L9NWkSXV-_4j0qOaHAAFbJFazSVdOr_xkFVwUmK3FdX4OcfPLROk-nhS5Q4N-KE17DC1bVZbVSOrRuPOynV8OOzG5ee5psBShdb"
    "QEsGaOWPCjFSLYvZX1hpQVMjKXMSA_rFX2ZiQSWtrBlVex0zKZddMf7RgrSrRSJ0KkPqirDJTDLfjQG2pp9hhNQgy-eLlGlRSy04dJSvhGrBgT"
    "1zMhKJwfQ_NqGEVphWdu_GoCE4fKwAeL2NnR1b40OkgYfKqhBgFEBvyipE-K2loitKKXGzSTF00ED2O_FNb6XX35bwpOVRR-BQEaOslHOHFNpJ"
    "ejSK72Aj9cgCJgAmoJZCrAvmCwfjtIyjroQm3_pbgV_iEZ0TP1s_1lKhxdbidyy3OWd2B_mQ3SdjlWALLk3K3-2fc3Baa_9GVa4S8ebyUvfiwQ"
    "NbOxYiygE2sr6ryTLrPuN-YvtESYtRSL_BUIFQInQf5vAgFMus-jregN36AZSCO-CMUMTM-ikN0n7DwUYQNHKkIBXpA3O-7ydzpV3IR1IYFnkw"
    "M2lhMfYhA8pkrlTCclfTMQ5CTv317xO7HkI7OkxysA_dcn31TWIiL20UKvj_AAAAAAAAAAE\",\"e\":\"AQAB\",\"kid\":\"2\",\"use\""
    ":\"sig\"},{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"bmMW40tTBrQ0xDUvQNv5LE8pl6u0ldT-uM0e4-eEaYI\",\"y\":\"Cr8i"
    "7-YN_joIKqE6u7ojpEe9wCbZmreIJc0-tWwMPUE\",\"kid\":\"4\",\"use\":\"sig\"},{\"kty\":\"EC\",\"crv\":\"P-384\",\"x"
    "\":\"wIVq1jzvt6G-b4Rz0eB8hbAI44gDSxgLnFULG8eVZoIT7Plu8QHJA36bwQ96qRbA\",\"y\":\"M4qVb3EU9ooYKMNmwhGBhFnpmim9zI"
    "_Kw4A4TQtz9hITJqvc3JlvlMQYrpNWEIYL\",\"kid\":\"5\",\"use\":\"sig\"},{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\""
    "AARlsJ17AN8YkdWh_Y4yyEccAHLZUTJ-hiRrSPmZlpBBWDtkD5pco4Biimi5dnU2SvqfU3Kq9476rO05-2-vx_TW\",\"y\":\"ACbbHPDxjIN"
    "BwEsZ2I6yBL78RgfBP2OaoGMmCTyYm4_m7WBhUD3XeLss1egLWaM7lYy_feO-6-P8sS5gOUEGCG82\",\"kid\":\"6\",\"use\":\"sig\"}"
    "]}";

/* SHA-256 of what is signed in each token that is good. */
static const char *const good_tokens[] = {
    "208681bc164cf5a7110fe4c3f886b6e8fac55a2af1b87c7762a8e84df9f68dd9",
    "a8072345dd228d0170e48d75b1d4ae3096fd39ef670b0d662ee389e5fb4b2f58",
    "d2edabc32bb052c2818466f6de36e878523959a51acfdea59352fe29d98e4b30",
    "8be38f0b7dc1e8ab1c0275df69358b81d4505dab7aa88de0715b00f9fc0f04e1",
    "0b3d1fad77aeebfbb415ee9efc905a8bc182bda70a3f36f36ccffe5bce4c71eb",
    "0c22d3a0bb649388f9edaae4437c510668781280c5ba2f8110406c5b1a52a95d",
    "74e11f32ab5463e293604c8d34c44618ce756f06e61cfa96458626e2149ae002",
    "cdf48f6e92eb8d08934a9069ba266a22a183300905208b19142517c612d71206",
    "5d585728dcab53cc5550d7dfffcf88bc1fd990470d6aa058a81adc4a0cf5f267",
    "651b0f0f9c3b8f09c8bed16c931798274b4ed8c1520dce9dd54f3b0c93e7ab43",
    "dd96ffd064ae978b9ff4e9716db261157613d9338879ce38ac5d6acca122fff2",
    "f165ed4a672bf0d6bc7a7f5431965ebc8233711d9ceb01a8a1ae8819dae0c914",
    "2d3e91a1d0f58b4b66af67dd9a48107a03e2bb790223f47b6d1fd1b174728b28",
};

#endif
