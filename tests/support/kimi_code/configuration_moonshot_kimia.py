from transformers.models.qwen2.configuration_qwen2 import Qwen2Config


class KimiAudioConfig(Qwen2Config):
    model_type = "kimi_audio"

    def __init__(
        self,
        rope_theta=10000.0,
        kimia_mimo_layers=1,
        kimia_mimo_transformer_from_layer_index=1,
        use_whisper_feature=True,
        kimia_adaptor_input_dim=64,
        kimia_media_begin=0,
        kimia_media_end=1,
        kimia_token_offset=2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.rope_theta = rope_theta
        self.kimia_mimo_layers = kimia_mimo_layers
        self.kimia_mimo_transformer_from_layer_index = kimia_mimo_transformer_from_layer_index
        self.use_whisper_feature = use_whisper_feature
        self.kimia_adaptor_input_dim = kimia_adaptor_input_dim
        self.kimia_media_begin = kimia_media_begin
        self.kimia_media_end = kimia_media_end
        self.kimia_token_offset = kimia_token_offset
