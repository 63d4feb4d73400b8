"""What the Hub's client raises, turned into errors that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, errors

# The HTTP library's own root, whichever library this version of the client uses.
from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

from tempo_attn.errors import ConfigError
from tempo_attn.hub.adapter_folder import CONFIG_NAME


@contextmanager
def hub_errors(repo_id: str, before: str = "", file: str = CONFIG_NAME) -> Iterator[None]:
    """Turn what the Hub's client raises about `repo_id` into a `ConfigError` that says what to do.

    Args:
        repo_id: The repository.
        before: What was tried before asking the Hub, for the message.
        file: The file that is asked for.

    Raises:
        ConfigError: The repository, revision or file is not there, or cannot be reached.
    """
    page = f"{constants.ENDPOINT}/{repo_id}"
    log_in = "log in (`hf auth login`) or pass token="
    try:
        yield
    except errors.GatedRepoError as error:
        raise ConfigError(
            f"{repo_id}: a gated repository on the Hub. Accept its terms at {page}, then {log_in}"
        ) from error
    except (errors.RepositoryNotFoundError, errors.DisabledRepoError) as error:
        raise ConfigError(
            f"{repo_id}: {before}the Hub has no such repository, or a private one that this token "
            f"cannot read. Expected 'owner/name': check the spelling, {log_in}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ConfigError(
            f"{repo_id}: the repository has no such revision. Its branches and tags are at "
            f"{page}/tree/main"
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise ConfigError(
            f"{repo_id}: {before}the Hub is out of reach (no network, HF_HUB_OFFLINE or "
            "local_files_only), and the file is not in its cache. Run this once with network "
            "access, or name a folder"
        ) from error
    except errors.EntryNotFoundError as error:
        raise ConfigError(
            f"{repo_id}: the repository has no {file} at this place, so no "
            f"{'' if file == CONFIG_NAME else 'whole '}adapter of tempo-lalm. See "
            f"{page}/tree/main; a named adapter needs subfolder="
        ) from error
    except errors.HFValidationError as error:
        raise ConfigError(
            f"{repo_id[:200]!r}: {before}{'and ' if before else ''}not a repository's name; "
            "expected 'owner/name'"
        ) from error
    except errors.HfHubHTTPError as error:
        raise ConfigError(
            f"{repo_id}: the Hub refused the request: {str(error).strip()[:300]}. Check what the "
            f"token may do at {page}, or try again later"
        ) from error
    except HTTPError as error:
        raise ConfigError(
            f"{repo_id}: {before}the connection to the Hub failed: {str(error).strip()[:300]}. "
            "Check the network, or name a folder"
        ) from error
