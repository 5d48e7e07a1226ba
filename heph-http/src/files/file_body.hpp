#pragma once

#include <heph/core/task.hpp>
#include <heph/http/request.hpp>
#include <heph/http/response.hpp>

#include "folder.hpp"

namespace heph::http::detail {

/// Completes a response to GET or HEAD that has a file's headers, and no body yet: with the file,
/// with parts of it, or with what the request's conditions come to.
/// *Lifetime*: `asked` outlives the task.
[[nodiscard]] task<response> answer_with_file(const request* asked, response full,
                                              opened_file opened);

}  // namespace heph::http::detail
